use proptest::prelude::*;

use super::*;

const GUEST: &str = r#"<?xml version='1.0'?>
<!-- made by hand -->
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>a &amp; b</name>
  <description><![CDATA[<not a="tag">]]></description>
  <cpu mode="custom"   match='exact'>
    <model fallback = "forbid" >Westmere</model>
    <feature policy='disable' name='avx'/> <!-- by hand -->
    <feature policy='require' name='hypervisor'/>
  </cpu>
  <on_poweroff/>
  <devices>
    <disk type='file'><source file='/srv/a.qcow2'/><target dev='vda'/></disk>
    <disk type='file'>
	<source file='/srv/b&quot;.qcow2'/>
	<target dev='vdb'/>
    </disk>
  </devices>
  <?keep me?>
  <qemu:commandline>
    <qemu:arg value='-s'/>
  </qemu:commandline>
</domain>"#;

fn guest() -> Edit {
    Edit::parse(GUEST).unwrap()
}

/// The guest's text with one part replaced.
fn with(old: &str, new: &str) -> String {
    assert_eq!(GUEST.matches(old).count(), 1, "{old}");
    GUEST.replace(old, new)
}

#[test]
fn paths_find_elements_and_attributes() {
    let x = guest();
    for (path, value) in [
        ("name", Some("a & b")),
        ("/domain/name", Some("a & b")),
        ("/network/name", None),
        ("@type", Some("kvm")),
        ("/domain/@type", Some("kvm")),
        ("description", Some("<not a=\"tag\">")),
        ("cpu/model", Some("Westmere")),
        ("cpu/model/@fallback", Some("forbid")),
        ("cpu/feature[2]/@name", Some("hypervisor")),
        ("cpu/feature[@name='avx']/@policy", Some("disable")),
        ("cpu/feature[@policy=\"require\"][1]/@name", Some("hypervisor")),
        ("cpu/feature[3]/@name", None),
        ("devices/disk[target/@dev='vdb']/source/@file", Some("/srv/b\".qcow2")),
        ("devices/disk[source/@dev]/source/@file", None),
        ("devices/*[2]/target/@dev", Some("vdb")),
        ("qemu:commandline/qemu:arg/@value", Some("-s")),
        ("@xmlns:qemu", Some("http://libvirt.org/schemas/domain/qemu/1.0")),
        ("nothing/@here", None),
    ] {
        assert_eq!(x.get(path).unwrap().as_deref(), value, "{path}");
    }
    assert_eq!(x.count("devices/disk").unwrap(), 2);
    assert_eq!(x.count("devices/disk[source]").unwrap(), 2);
    assert_eq!(x.all("devices/disk/target/@dev").unwrap(), ["vda", "vdb"]);
    assert_eq!(x.elements("cpu/feature[2]").unwrap(), ["<feature policy='require' name='hypervisor'/>"]);
}

#[test]
fn what_is_no_path_is_told() {
    for path in ["a//b", "a/", "a b", "a[", "a[]", "a[0]", "a[@b=c]", "a[@b='c", "@", "a/@b/c", "a]", "<a>"] {
        let error = guest().get(path).unwrap_err();
        assert!(matches!(error, EditError::Path { .. }), "{path}: {error}");
    }
    assert_eq!(
        guest().get("a[0]").unwrap_err().to_string(),
        "`a[0]` is no path: [0] means none; the first is [1]"
    );
    assert!(guest().get(&"a[".repeat(1000)).is_err());
}

#[test]
fn setting_changes_those_bytes_and_no_others() {
    for (path, value, old, new) in [
        ("name", "x<y>'z'", "a &amp; b", "x&lt;y&gt;'z'"),
        ("cpu/model", "Penryn", "Westmere", "Penryn"),
        ("cpu/@mode", "a\"b\n", "\"custom\"", "\"a&quot;b&#10;\""),
        ("cpu/model/@fallback", "allow", "\"forbid\"", "\"allow\""),
        ("cpu/model/@vendor_id", "me", "\"forbid\" ", "\"forbid\" vendor_id=\"me\" "),
        ("description", "plain", "<![CDATA[<not a=\"tag\">]]>", "plain"),
        ("on_poweroff", "destroy", "<on_poweroff/>", "<on_poweroff>destroy</on_poweroff>"),
        ("on_poweroff/@x", "1", "<on_poweroff/>", "<on_poweroff x='1'/>"),
        ("cpu/feature[@name='avx']/@policy", "require", "'disable'", "'require'"),
        ("devices/disk[target/@dev='vdb']/source/@file", "/srv/c", "/srv/b&quot;.qcow2", "/srv/c"),
        (
            "cpu/feature[@name='pcid']/@policy",
            "require",
            "'hypervisor'/>\n",
            "'hypervisor'/>\n    <feature name='pcid' policy='require'/>\n",
        ),
        ("cpu/topology/@cores", "4", "'hypervisor'/>\n", "'hypervisor'/>\n    <topology cores='4'/>\n"),
        (
            "features/hyperv/relaxed/@state",
            "on",
            "</qemu:commandline>\n",
            "</qemu:commandline>\n  <features>\n    <hyperv>\n      <relaxed state='on'/>\n    </hyperv>\n  </features>\n",
        ),
    ] {
        let mut x = guest();
        x.set(path, value).unwrap();
        assert_eq!(x.text(), with(old, new), "{path}");
        assert_eq!(x.get(path).unwrap().as_deref(), Some(value), "{path}");
    }
}

#[test]
fn elements_are_added_replaced_and_removed_where_they_stand() {
    let mut x = guest();
    x.append("qemu:commandline", "<qemu:arg value='-d'/>").unwrap();
    assert_eq!(x.text(), with("'-s'/>\n", "'-s'/>\n    <qemu:arg value='-d'/>\n"));

    let mut x = guest();
    x.append("on_poweroff", "<a/>").unwrap();
    assert_eq!(x.text(), with("<on_poweroff/>", "<on_poweroff>\n    <a/>\n  </on_poweroff>"));

    let mut x = guest();
    x.before("cpu", " <vcpu>2</vcpu>\n").unwrap();
    x.after("cpu", "<clock/>").unwrap();
    let text = with("  <cpu mode", "  <vcpu>2</vcpu>\n  <cpu mode");
    assert_eq!(x.text(), text.replace("</cpu>\n", "</cpu>\n  <clock/>\n"));

    let mut x = guest();
    x.replace("devices/disk[1]", "<disk/>").unwrap();
    let disk = "<disk type='file'><source file='/srv/a.qcow2'/><target dev='vda'/></disk>";
    assert_eq!(x.text(), with(disk, "<disk/>"));

    let mut x = guest();
    assert_eq!(x.remove("cpu/feature").unwrap(), 2);
    let text = with("<feature policy='disable' name='avx'/>", "");
    assert_eq!(x.text(), text.replace("\n    <feature policy='require' name='hypervisor'/>", ""));
    assert_eq!(x.remove("cpu/feature").unwrap(), 0);
    assert_eq!(x.remove("cpu/@match").unwrap(), 1);
    assert_eq!(x.remove("cpu/model/@fallback").unwrap(), 1);
    assert!(x.text().contains("<cpu mode=\"custom\">\n    <model >Westmere</model>"), "{}", x.text());
    assert_eq!(x.remove("devices/*").unwrap(), 2);
    x.append("devices", "<disk/>").unwrap();
    assert!(x.text().contains("  <devices>\n    <disk/>\n  </devices>\n"), "{}", x.text());
}

#[test]
fn lines_of_windows_tabs_and_texts_without_lines_are_kept() {
    let mut x = Edit::parse(
        "\u{feff}<domain>\r\n\t<cpu>\r\n\t\t<model>a</model>\r\n\t</cpu>\r\n\t<os/>\r\n</domain>",
    )
    .unwrap();
    x.set("cpu/feature/@name", "b").unwrap();
    x.append("os", "<boot/>").unwrap();
    x.remove("cpu/model").unwrap();
    assert_eq!(
        x.text(),
        "\u{feff}<domain>\r\n\t<cpu>\r\n\t\t<feature name='b'/>\r\n\t</cpu>\r\n\t<os>\r\n\t\t<boot/>\r\n\t</os>\r\n</domain>"
    );
    let mut x = Edit::parse("<d><a/><b>t</b></d>").unwrap();
    x.append("", "<c/>").unwrap();
    x.append("b", "<e/>").unwrap();
    x.remove("a").unwrap();
    assert_eq!(x.text(), "<d><b>t<e/></b><c/></d>");
    let mut x = Edit::parse("<d/>").unwrap();
    x.set("a/b", "c").unwrap();
    assert_eq!(x.text(), "<d>\n  <a>\n    <b>c</b>\n  </a>\n</d>");
}

#[test]
fn a_comment_beside_a_text_outlives_it() {
    let mut x = Edit::parse("<d><name>old<!-- why --></name></d>").unwrap();
    x.set("name", "new").unwrap();
    assert_eq!(x.text(), "<d><name>new<!-- why --></name></d>");
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let mut x = guest();
    assert_eq!(
        x.set("devices/disk/@type", "block").unwrap_err().to_string(),
        "there are 2 of `devices/disk/@type`"
    );
    assert!(matches!(x.set("devices", "text"), Err(EditError::Unfit(_))));
    assert!(matches!(x.set("name", "a\u{1}b"), Err(EditError::Unfit(_))));
    assert!(matches!(x.set("new/deep", "a\u{0}b"), Err(EditError::Unfit(_))));
    assert!(matches!(x.set("cpu/foo:bar", "x"), Err(EditError::Unfit(_))));
    assert!(matches!(x.set("cpu/1x", "x"), Err(EditError::Unfit(_))));
    assert!(matches!(x.set("cpu/feature[7]/@name", "x"), Err(EditError::Missing(_))));
    assert!(matches!(x.append("devices", "</devices><devices>"), Err(EditError::Unfit(_))));
    assert!(matches!(x.append("devices", "words"), Err(EditError::Unfit(_))));
    assert!(matches!(x.append("devices", "<foo:bar/>"), Err(EditError::Unfit(_))));
    assert!(matches!(x.append("nowhere", "<a/>"), Err(EditError::Missing(_))));
    assert!(matches!(x.append("name/@x", "<a/>"), Err(EditError::Path { .. })));
    assert!(matches!(x.remove(""), Err(EditError::Unfit(_))));
    assert!(matches!(x.after("", "<a/>"), Err(EditError::Unfit(_))));
    assert!(matches!(x.replace("", "<a>"), Err(EditError::Unfit(_))));
    assert_eq!(x.text(), GUEST);
}

#[test]
fn what_is_no_xml_is_refused() {
    for text in [
        "",
        "no",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a b=c/>",
        "<a b='1' b='2'/>",
        "<!DOCTYPE a><a/>",
        "<a>&x;</a>",
    ] {
        assert!(matches!(Edit::parse(text), Err(EditError::Xml(_))), "{text}");
    }
}

/// Elements, with everything that an editor could lose.
fn content() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-c]{0,3}",
        Just("\r\n  ".to_owned()),
        Just("\n\t".to_owned()),
        Just("<!-- <a> -->".to_owned()),
        Just("<![CDATA[</a>]]>".to_owned()),
        Just("<?p i?>".to_owned()),
        Just("&amp;&#65;".to_owned()),
        Just("<a/>".to_owned()),
        Just("<q:b  x = \"/>\" q:y='&lt;é'  />".to_owned()),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        (
            prop_oneof!["a", "b", "q:b"],
            prop::collection::vec(inner, 0..5),
            prop_oneof!["", " ", " x='\"'", "\n x=\"'>\""],
        )
            .prop_map(|(name, inner, tail)| format!("<{name}{tail}>{}</{name} >", inner.concat()))
    })
}

fn document() -> impl Strategy<Value = String> {
    let edge = prop_oneof!["", "\n", "<!-- edge -->\r\n"];
    (edge.clone(), prop::collection::vec(content(), 0..6), edge)
        .prop_map(|(head, inner, tail)| format!("{head}<d xmlns:q='u:q'>{}</d>{tail}", inner.concat()))
}

/// What two texts have in common at both ends covers all but the given bytes.
fn differs_only(old: &str, new: &str, most: usize) -> bool {
    let front = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let back = old.bytes().rev().zip(new.bytes().rev()).take_while(|(a, b)| a == b).count();
    old.len().saturating_sub(front + back) <= most
}

const PATHS: [&str; 10] =
    ["a", "a[1]", "a/b[1]", "q:b[1]", "a[1]/@x", "q:b[1]/@q:y", "*[2]/*[1]", "b[@x]/@x", "", "b[last]/@n"];

proptest! {
    #[test]
    fn all_other_bytes_stay(text in document(), path in prop::sample::select(&PATHS[..]), value in "\\PC{0,8}") {
        let mut x = Edit::parse(text.clone()).unwrap();
        let old = x.all(path).unwrap().first().cloned().unwrap_or_default();
        if path.contains('@') && x.set(path, &value).is_ok() {
            prop_assert_eq!(x.get(path).unwrap(), Some(value.clone()));
            // At most the old value, each of its characters written as an entity.
            prop_assert!(differs_only(&text, x.text(), old.len() * 6), "{} -> {}", text, x.text());
        }
        let mut x = Edit::parse(text.clone()).unwrap();
        if x.append(path, "<new/>").is_ok() {
            // At most the end of a tag that was closed, or blanks between two tags.
            prop_assert!(differs_only(&text, x.text(), 24), "{} -> {}", text, x.text());
        }
        let mut x = Edit::parse(text.clone()).unwrap();
        let before = x.count(path).unwrap();
        if let Ok(removed) = x.remove(path) {
            prop_assert_eq!(removed, before);
            let gone = text.len() - x.text().len();
            prop_assert!(before > 1 || differs_only(&text, x.text(), gone), "{} -> {}", text, x.text());
        }
    }

    #[test]
    fn adding_and_removing_gives_the_old_text(text in document()) {
        for path in PATHS.iter().filter(|path| !path.contains('@')) {
            let mut x = Edit::parse(text.clone()).unwrap();
            if x.elements(path).unwrap().len() != 1 || x.before(path, "<new/>").is_err() {
                continue;
            }
            let place = [path.rsplit_once('/').map_or("", |(place, _)| place), "new"].join("/");
            prop_assert_eq!(x.remove(place.trim_start_matches('/')).unwrap(), 1);
            prop_assert_eq!(x.text(), text.as_str());
        }
    }

    #[test]
    fn nothing_makes_it_panic(text in "\\PC*", path in "[a-c/@\\[\\]='\"*:1-3]{0,12}", value in any::<String>()) {
        let _ = Edit::parse(text.clone());
        let mut x = guest();
        let _ = (x.get(&text), x.get(&path), x.elements(&path));
        let _ = (x.set(&path, &value), x.append(&path, &text), x.before(&path, &value), x.remove(&path));
        prop_assert!(Edit::parse(x.text()).is_ok());
    }
}

#[test]
fn deep_nesting_is_an_answer_not_a_crash() {
    let deep = ["<a>".repeat(20_000), "</a>".repeat(20_000)].concat();
    if let Ok(mut x) = Edit::parse(deep) {
        x.set("a/a/@b", "c").unwrap();
    }
}
