//! Secrets in descriptions: the passwords of graphics and of `<auth>`, the values of `<secret>`.

use std::ops::Range;

use roxmltree::{Document, Node};

use crate::model::pool::KeptSecret;

/// What stands for a secret.
const HIDDEN: &str = "***";

/// Attributes and elements whose value is a secret.
const SECRET: [&str; 3] = ["passwd", "password", "secret"];

/// The description without its secrets, every other byte as it is; nothing of
/// what is no XML, for nobody can say what is secret in it.
pub fn hidden(xml: &str) -> String {
    let Ok(document) = Document::parse(xml) else { return HIDDEN.to_owned() };
    let mut text = xml.to_owned();
    let mut ranges: Vec<Range<usize>> = document.descendants().flat_map(secrets).collect();
    ranges.sort_by_key(|range| std::cmp::Reverse(range.start));
    for range in ranges {
        text.replace_range(range, HIDDEN);
    }
    text
}

fn secrets(node: Node<'_, '_>) -> Vec<Range<usize>> {
    if node.is_text() {
        let within = node.parent().is_some_and(|parent| SECRET.contains(&parent.tag_name().name()));
        let blank = node.text().is_none_or(|text| text.trim().is_empty());
        return if within && !blank { vec![node.range()] } else { Vec::new() };
    }
    let secret = |name: &str| name == "passwd" || name == "password";
    let attributes = node.attributes().filter(|attribute| secret(attribute.name()));
    attributes.map(|attribute| attribute.range_value()).collect()
}

/// What a `<secret>` that libvirt keeps is for.
///
/// # Errors
/// Text that is no XML.
pub fn kept(xml: &str) -> Result<KeptSecret, super::Error> {
    let document = Document::parse(xml).map_err(|error| super::Error::new("secret", error))?;
    let of =
        |node: Option<Node<'_, '_>>| node.and_then(|node| node.text()).unwrap_or_default().trim().to_owned();
    let find = |name: &str| document.descendants().find(|node| node.has_tag_name(name));
    let usage = find("usage");
    // Each type calls it otherwise: `name`, `target`, `volume`.
    let name = usage.and_then(|usage| usage.children().find(Node::is_element));
    Ok(KeptSecret {
        usage: of(name),
        kind: usage.and_then(|usage| usage.attribute("type")).unwrap_or("none").to_owned(),
        uuid: of(find("uuid")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden_and_nothing_else_is_touched() {
        let xml = "<domain>\n  <graphics type='vnc'  passwd='a&lt;b' port=\"1\"/>\n  <auth username='x' password=\"y\">\n\
                   <secret uuid='u'/><password>p</password></auth>  <secret>v</secret></domain>";
        assert_eq!(
            hidden(xml),
            "<domain>\n  <graphics type='vnc'  passwd='***' port=\"1\"/>\n  <auth username='x' password=\"***\">\n\
             <secret uuid='u'/><password>***</password></auth>  <secret>***</secret></domain>"
        );
        assert_eq!(hidden("passwd='a'"), "***");
    }
}
