//! Where elements and attributes are in a text.

use std::ops::Range;

use super::EditError;

/// A text that is well-formed, with the positions of its parts.
pub(super) struct Tree<'a> {
    text: &'a str,
    document: roxmltree::Document<'a>,
}

/// One of its elements.
pub(super) type Element = roxmltree::NodeId;

/// A start tag.
pub(super) struct Tag {
    /// After its name.
    pub(super) name_end: usize,
    pub(super) attributes: Vec<Placed>,
    /// After its `>`.
    pub(super) end: usize,
    /// Whether it is `<…/>`.
    pub(super) closed: bool,
}

/// An attribute, quotes and all; its name and value.
pub(super) struct Placed {
    pub(super) whole: Range<usize>,
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

impl<'a> Tree<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, EditError> {
        let document = roxmltree::Document::parse(text).map_err(|error| EditError::Xml(error.to_string()))?;
        Ok(Self { text, document })
    }

    pub(super) fn root(&self) -> Element {
        self.document.root_element().id()
    }

    fn node(&self, element: Element) -> roxmltree::Node<'_, 'a> {
        // An element of another tree is a defect here; the root is then the mildest answer.
        self.document.get_node(element).unwrap_or_else(|| self.document.root_element())
    }

    pub(super) fn range(&self, element: Element) -> Range<usize> {
        self.node(element).range()
    }

    pub(super) fn parent_of(&self, element: Element) -> Option<Element> {
        self.node(element).parent_element().map(|parent| parent.id())
    }

    pub(super) fn children_of(&self, element: Element) -> impl Iterator<Item = Element> {
        self.node(element).children().filter(|child| child.is_element()).map(|child| child.id())
    }

    /// Comments and processing instructions directly within.
    pub(super) fn remarks_of(&self, element: Element) -> Vec<Range<usize>> {
        let children = self.node(element).children();
        children.filter(|child| child.is_comment() || child.is_pi()).map(|child| child.range()).collect()
    }

    /// As it is written, with its prefix.
    pub(super) fn name_of(&self, element: Element) -> &'a str {
        let start = self.range(element).start + 1;
        let rest = self.text.get(start..).unwrap_or_default();
        let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>');
        rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
    }

    /// Its own text, that of its children left out.
    pub(super) fn text_of(&self, element: Element) -> String {
        self.node(element)
            .children()
            .filter(|child| child.is_text())
            .filter_map(|child| child.text())
            .collect()
    }

    /// Its value with entities resolved.
    pub(super) fn attribute_of(&self, element: Element, name: &str) -> Option<String> {
        let tag = self.tag(element);
        let node = self.node(element);
        let at = tag.attributes.iter().find(|placed| self.text.get(placed.name.clone()) == Some(name))?;
        let known = node.attributes().find(|attribute| attribute.range().start == at.whole.start);
        // Declarations of name spaces are no attributes to the reader.
        known
            .map(|known| known.value().to_owned())
            .or_else(|| self.text.get(at.value.clone()).map(str::to_owned))
    }

    /// Prefixes and what they stand for here.
    pub(super) fn name_spaces(&self, element: Element) -> Vec<(Option<String>, String)> {
        let spaces = self.node(element).namespaces();
        spaces
            .filter(|space| space.name() != Some("xml"))
            .map(|space| (space.name().map(str::to_owned), space.uri().to_owned()))
            .collect()
    }

    /// Its start tag. The text is known to be well-formed, so quotes and `>` tell all.
    pub(super) fn tag(&self, element: Element) -> Tag {
        let bytes = self.text.as_bytes();
        let at = |index: usize| bytes.get(index).copied().unwrap_or(b'>');
        let name_end = self.range(element).start + 1 + self.name_of(element).len();
        let mut attributes = Vec::new();
        let mut here = name_end;
        loop {
            match at(here) {
                b'>' => return Tag { name_end, attributes, end: here + 1, closed: false },
                b'/' => return Tag { name_end, attributes, end: here + 2, closed: true },
                c if c.is_ascii_whitespace() => here += 1,
                _ => {
                    let start = here;
                    while !matches!(at(here), b'=' | b'>') && !at(here).is_ascii_whitespace() {
                        here += 1;
                    }
                    let name = start..here;
                    while !matches!(at(here), b'"' | b'\'' | b'>') {
                        here += 1;
                    }
                    let quote = at(here);
                    let value = here + 1;
                    here = value;
                    while here < bytes.len() && at(here) != quote {
                        here += 1;
                    }
                    attributes.push(Placed { whole: start..here + 1, name, value: value..here });
                    here += 1;
                }
            }
        }
    }

    /// Between its tags; empty for `<…/>`.
    pub(super) fn content(&self, element: Element) -> Range<usize> {
        let range = self.range(element);
        let tag = self.tag(element);
        if tag.closed {
            return tag.end..tag.end;
        }
        let end = self.text.get(range.clone()).and_then(|text| text.rfind("</"));
        tag.end..end.map_or(tag.end, |end| range.start + end)
    }

    /// The line break and indentation before it, if it begins its line.
    pub(super) fn indentation(&self, at: usize) -> Option<&'a str> {
        let before = self.text.get(..at)?;
        let blanks = before.len() - before.trim_end_matches([' ', '\t']).len();
        let line = at - blanks;
        let break_at = match before.get(..line)? {
            text if text.ends_with("\r\n") => line - 2,
            text if text.ends_with('\n') => line - 1,
            _ => return None,
        };
        self.text.get(break_at..at)
    }
}
