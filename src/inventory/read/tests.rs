use super::*;
use insta::assert_snapshot;
use proptest::prelude::*;

fn read(text: &str) -> Result<Inventory, Diagnosis> {
    parse(Path::new("/etc/kvmsh/hosts.toml"), text)
}

fn complaint(text: &str) -> String {
    crate::ui::diagnostic::render(&read(text).unwrap_err(), &crate::ui::Term::plain())
}

#[test]
fn everything_an_inventory_can_say_is_understood() {
    let inventory = read(
        r#"
        [hosts.h2-a]
        address = "192.0.2.11"
        user = "admin"
        port = 2222
        identity = "keys/id_ed25519"
        known_hosts = "/etc/kvmsh/known_hosts"
        jump = "root@gate:22"
        tags = ["rack1"]
        reserve = "4GiB"
        migration_address = "10.0.0.11"
        [hosts.far]
        uri = "qemu+tls://far.example.org/system"
        [hosts.here]
        uri = "qemu:///system"
        [groups]
        all = ["h2-*", "far"]
        [storage]
        shared = ["/srv//gfs/"]
        "#,
    )
    .unwrap();
    let host = &inventory.hosts["h2-a"];
    assert_eq!(host.target.address.as_deref(), Some("192.0.2.11"));
    assert_eq!((host.target.port, host.reserve), (Some(2222), Some(Bytes(4 << 30))));
    assert_eq!(host.target.identity.as_deref(), Some(Path::new("/etc/kvmsh/keys/id_ed25519")));
    assert_eq!(inventory.hosts["far"].target.address.as_deref(), Some("far.example.org"));
    assert_eq!(inventory.hosts["here"].target.address, None);
    assert_eq!(inventory.groups["all"], ["h2-*", "far"]);
    assert_eq!(inventory.shared, [PathBuf::from("/srv/gfs")]);
}

#[test]
fn a_slip_in_a_key_is_shown_with_what_was_meant() {
    assert_snapshot!(complaint("[hosts.h2-a]\nadress = \"h2-a\"\n"), @r#"
    error[inventory]: unknown key `adress` in [hosts.h2-a]
     --> /etc/kvmsh/hosts.toml:2:1
      |
    2 | adress = "h2-a"
      | ^^^^^^
      = help: did you mean `address`?
    "#);
    assert_snapshot!(complaint("[host.h2-a]\naddress = \"h2-a\"\n"), @"
    error[inventory]: unknown key `host` in the inventory
     --> /etc/kvmsh/hosts.toml:1:2
      |
    1 | [host.h2-a]
      |  ^^^^
      = help: did you mean `hosts`?
    ");
    assert_snapshot!(complaint("[hosts.a]\naddress = \"a\"\ncolour = 1\n"), @"
    error[inventory]: unknown key `colour` in [hosts.a]
     --> /etc/kvmsh/hosts.toml:3:1
      |
    3 | colour = 1
      | ^^^^^^
      = help: known are: address, user, port, uri, identity, known_hosts, jump, tags, reserve, migration_address
    ");
}

#[test]
fn syntax_errors_and_duplicates_say_where() {
    assert_snapshot!(complaint("[hosts.h2-a]\naddress = h2-a\n"), @"
    error[inventory]: this is not TOML: string values must be quoted, expected literal string
     --> /etc/kvmsh/hosts.toml:2:11
      |
    2 | address = h2-a
      |           ^^^^
    ");
    assert_snapshot!(complaint("[hosts.a]\naddress = \"a\"\n[hosts.a]\naddress = \"b\"\n"), @"
    error[inventory]: `a` is there twice
     --> /etc/kvmsh/hosts.toml:3:8
      |
    3 | [hosts.a]
      |        ^
      = help: keep one of them, or give the other another name
    ");
}

#[test]
fn wrong_values_say_what_is_wanted() {
    assert_snapshot!(complaint("[hosts.a]\naddress = 7\n"), @"
    error[inventory]: `address` has to be text in quotes, not a number
     --> /etc/kvmsh/hosts.toml:2:11
      |
    2 | address = 7
      |           ^
    ");
    assert_snapshot!(complaint("[hosts.a]\naddress = \"a\"\nport = 99999\n"), @"
    error[inventory]: a port is a number from 1 to 65535
     --> /etc/kvmsh/hosts.toml:3:8
      |
    3 | port = 99999
      |        ^^^^^
    ");
    assert_snapshot!(complaint("[hosts.a]\naddress = \"a\"\nreserve = \"4 bananas\"\n"), @r#"
    error[inventory]: `4 bananas` is not a size: write a number with K, M, G, T (or KiB, MiB, …), for instance `4GiB`
     --> /etc/kvmsh/hosts.toml:3:11
      |
    3 | reserve = "4 bananas"
      |           ^^^^^^^^^^^
    "#);
    assert_snapshot!(complaint("[hosts.a]\naddress = \" \"\n"), @r#"
    error[inventory]: the address is empty
     --> /etc/kvmsh/hosts.toml:2:11
      |
    2 | address = " "
      |           ^^^
    "#);
    assert_snapshot!(complaint("[hosts.a]\nuri = \"qemu\"\n"), @r#"
    error[inventory]: `qemu` is no libvirt URI: write for instance qemu+ssh://root@h2-a/system
     --> /etc/kvmsh/hosts.toml:2:7
      |
    2 | uri = "qemu"
      |       ^^^^^^
    "#);
    assert_snapshot!(complaint("[hosts.a]\n"), @r#"
    error[inventory]: host a has neither `address` nor `uri`
     --> /etc/kvmsh/hosts.toml:1:8
      |
    1 | [hosts.a]
      |        ^
      = help: add address = "…" (a name, an IP address or an alias of ~/.ssh/config), or uri = "qemu:///system" for this machine
    "#);
    assert_snapshot!(complaint("[hosts.\"h2-*\"]\naddress = \"a\"\n"), @r#"
    error[inventory]: `h2-*` is no name for a host
     --> /etc/kvmsh/hosts.toml:1:8
      |
    1 | [hosts."h2-*"]
      |        ^^^^^^
      = help: use letters, digits, `-`, `_` and `.`, and begin with a letter or digit: `*`, `?`, `@` and `:` select hosts
    "#);
}

#[test]
fn a_group_may_not_name_a_host_that_is_not_there() {
    assert_snapshot!(complaint("[hosts.h2-a]\naddress = \"a\"\n[groups]\nall = [\"h2-*\", \"h2a\"]\n"), @r#"
    error[inventory]: group all names `h2a`, which is neither a host nor a pattern that fits one
     --> /etc/kvmsh/hosts.toml:4:16
      |
    4 | all = ["h2-*", "h2a"]
      |                ^^^^^
      = help: did you mean `h2-a`?
    "#);
    assert!(read("[hosts.a]\naddress = \"a\"\n[groups]\nlater = [\"new-*\"]\n").is_ok());
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    assert_snapshot!(complaint("[hosts.a]\naddress = \"\"\nuser = \"\"\nport = 0\n[storage]\nshared = [\"x\"]\n"), @r#"
    error[inventory]: the address is empty
     --> /etc/kvmsh/hosts.toml:2:11
      |
    2 | address = ""
      |           ^^
      = help: something is wrong in the lines 3, 4, 6 too
    "#);
}

proptest! {
    #[test]
    fn arbitrary_text_is_an_inventory_or_an_error(text in any::<String>()) {
        if let Err(diagnosis) = read(&text) {
            crate::ui::diagnostic::render(&diagnosis, &crate::ui::Term::plain());
        }
    }

    #[test]
    fn text_that_is_nearly_an_inventory_is_one_or_an_error(
        lines in prop::collection::vec(
            ("(\\[hosts\\.)?[a-z.\"é*\\]]{0,6}( ?= ?)?|address|tags|\\[groups\\]|shared", "(=? ?[\"\\[]?[a-z0-9:/@{]{0,9}[\"\\]]?)"), 0..8),
    ) {
        let text: String = lines.iter().map(|(key, value)| format!("{key}{value}\n")).collect();
        if let Err(diagnosis) = read(&text) {
            crate::ui::diagnostic::render(&diagnosis, &crate::ui::Term::plain());
        }
    }
}
