//! Edits that leave every other byte alone.
//!
//! Nothing is written anew: a change cuts out the bytes of one element or
//! attribute and puts others there. Comments, CDATA, processing instructions,
//! entities, quotes, name spaces, line ends and indentation of the rest stay
//! as they were. After each change the text is read again, so that what is
//! not well-formed is refused before it is anywhere.

mod path;
#[cfg(test)]
mod tests;
mod tree;

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::escape::{escape, partial_escape};

use crate::model::Fault;
use path::{Path, Predicate, Step};
use tree::{Element, Tree};

/// Why an edit was not made; the text is then as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is no XML.
    #[error("the XML cannot be read: {0}")]
    Xml(String),
    /// The path cannot be read.
    #[error("`{path}` is no path: {why}")]
    Path {
        /// As it was given.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing is there.
    #[error("there is no `{0}`")]
    Missing(String),
    /// The path means several elements where one is needed.
    #[error("there are {count} of `{path}`")]
    Many {
        /// As it was given.
        path: String,
        /// How many.
        count: usize,
    },
    /// What was to be written cannot stand there.
    #[error("{0}")]
    Unfit(String),
}

impl From<EditError> for Fault {
    fn from(error: EditError) -> Self {
        let (code, hint) = match &error {
            EditError::Xml(_) => ("xml_error", None),
            EditError::Path { .. } => {
                ("bad_path", Some("for instance devices/disk[target/@dev='vda']/source/@file"))
            }
            EditError::Missing(_) => ("no_element", Some("look at the XML as it is: `x.xml`")),
            EditError::Many { .. } => {
                ("many_elements", Some("say which: [1], or [@name='value'], or [target/@dev='vda']"))
            }
            EditError::Unfit(_) => ("unfit_xml", None),
        };
        let fault = Self::new(code, error.to_string());
        match hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}

/// A text that is being edited.
///
/// Paths: see [`Edit::get`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    text: String,
}

impl Edit {
    /// Takes a text.
    ///
    /// # Errors
    /// [`EditError::Xml`] for what is not well-formed, and for document types.
    pub fn parse(text: impl Into<String>) -> Result<Self, EditError> {
        let text = text.into();
        Tree::parse(&text)?;
        Ok(Self { text })
    }

    /// As it is now.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many elements, or attributes, the path means.
    ///
    /// # Errors
    /// [`EditError::Path`].
    pub fn count(&self, path: &str) -> Result<usize, EditError> {
        Ok(self.all(path)?.len())
    }

    /// The text of the first element, or the value of the first attribute, with entities resolved.
    ///
    /// Paths are a small part of XPath: `name`, `os/type/@machine`, `devices/disk[2]/source/@file`,
    /// `devices/disk[target/@dev='vda']`, `cpu/feature[@name='avx']/@policy`, `devices/*`,
    /// `qemu:commandline/qemu:arg[1]`, `/domain/name`; the empty path is the root.
    ///
    /// # Errors
    /// [`EditError::Path`].
    pub fn get(&self, path: &str) -> Result<Option<String>, EditError> {
        Ok(self.all(path)?.into_iter().next())
    }

    /// The texts of all elements, or the values of all attributes, that the path means.
    ///
    /// # Errors
    /// [`EditError::Path`].
    pub fn all(&self, path: &str) -> Result<Vec<String>, EditError> {
        let path = Path::parse(path)?;
        let tree = self.tree()?;
        Ok(path.values(&tree, tree.root()))
    }

    /// The elements as they are written, tags and all.
    ///
    /// # Errors
    /// [`EditError::Path`].
    pub fn elements(&self, path: &str) -> Result<Vec<&str>, EditError> {
        let path = Path::parse(path)?;
        let tree = self.tree()?;
        let found = path.select(&tree, tree.root()).into_iter();
        Ok(found.filter_map(|element| self.text.get(tree.range(element))).collect())
    }

    /// Sets the text of an element or the value of an attribute. Elements and attributes that are missing are added,
    /// those of conditions (`cpu/feature[@name='avx']/@policy`) with what the condition says.
    ///
    /// # Errors
    /// [`EditError::Many`]; [`EditError::Unfit`] for an element that holds others, and text that XML cannot hold.
    pub fn set(&mut self, path: &str, value: &str) -> Result<(), EditError> {
        let read = Path::parse(path)?;
        let mut next = self.clone();
        next.grow(path, &read)?;
        let tree = next.tree()?;
        let element = one(&tree, path, &read)?;
        let (range, new) = match &read.attribute {
            Some(name) => next.attribute_splice(&tree, element, name, value),
            None => next.text_splice(&tree, element, path, value)?,
        };
        *self = next.spliced(range, &new)?;
        Ok(())
    }

    /// Removes all that the path means, elements with the line they leave empty; tells how many.
    ///
    /// # Errors
    /// [`EditError::Unfit`] for the root.
    pub fn remove(&mut self, path: &str) -> Result<usize, EditError> {
        let read = Path::parse(path)?;
        let mut next = self.clone();
        let tree = self.tree()?;
        let found = read.select(&tree, tree.root());
        let mut cuts = Vec::new();
        for element in found {
            match &read.attribute {
                Some(name) => cuts.extend(self.attribute_cut(&tree, element, name)),
                None if element == tree.root() => {
                    return Err(EditError::Unfit("the root cannot be removed".into()));
                }
                None => cuts.push(self.element_cut(&tree, element)),
            }
        }
        // From the end, so that positions before stay true.
        cuts.sort_by_key(|cut| std::cmp::Reverse(cut.start));
        let removed = cuts.len();
        for cut in cuts {
            next.text.replace_range(cut, "");
        }
        Tree::parse(&next.text)?;
        *self = next;
        Ok(removed)
    }

    /// Adds an element as the last within another, indented like its neighbours.
    ///
    /// # Errors
    /// [`EditError::Missing`], [`EditError::Many`]; [`EditError::Unfit`] for XML that is not whole.
    pub fn append(&mut self, path: &str, xml: &str) -> Result<(), EditError> {
        let tree = self.tree()?;
        let parent = one(&tree, path, &element_path(path)?)?;
        let xml = whole(&tree, parent, xml)?;
        let (range, new) = self.append_splice(&tree, parent, xml);
        *self = self.spliced(range, &new)?;
        Ok(())
    }

    /// Adds an element before another one.
    ///
    /// # Errors
    /// As [`Edit::append`].
    pub fn before(&mut self, path: &str, xml: &str) -> Result<(), EditError> {
        let tree = self.tree()?;
        let (element, xml) = sibling(&tree, path, xml)?;
        let at = tree.range(element).start;
        let new = [xml, tree.indentation(at).unwrap_or_default()].concat();
        *self = self.spliced(at..at, &new)?;
        Ok(())
    }

    /// Adds an element after another one.
    ///
    /// # Errors
    /// As [`Edit::append`].
    pub fn after(&mut self, path: &str, xml: &str) -> Result<(), EditError> {
        let tree = self.tree()?;
        let (element, xml) = sibling(&tree, path, xml)?;
        let range = tree.range(element);
        let new = [tree.indentation(range.start).unwrap_or_default(), xml].concat();
        *self = self.spliced(range.end..range.end, &new)?;
        Ok(())
    }

    /// Puts another element in the place of one.
    ///
    /// # Errors
    /// As [`Edit::append`].
    pub fn replace(&mut self, path: &str, xml: &str) -> Result<(), EditError> {
        let tree = self.tree()?;
        let element = one(&tree, path, &element_path(path)?)?;
        let xml = match tree.parent_of(element) {
            Some(parent) => whole(&tree, parent, xml)?,
            None => xml.trim(),
        };
        *self = self.spliced(tree.range(element), xml)?;
        Ok(())
    }

    fn tree(&self) -> Result<Tree<'_>, EditError> {
        Tree::parse(&self.text)
    }

    fn slice(&self, range: Range<usize>) -> &str {
        self.text.get(range).unwrap_or_default()
    }

    fn spliced(&self, range: Range<usize>, new: &str) -> Result<Self, EditError> {
        let text = [self.slice(0..range.start), new, self.slice(range.end..self.text.len())].concat();
        match Tree::parse(&text) {
            Ok(_) => Ok(Self { text }),
            Err(error) => Err(EditError::Unfit(format!("this cannot be written there: {error}"))),
        }
    }

    /// Adds the elements of the path that are missing.
    fn grow(&mut self, text: &str, path: &Path) -> Result<(), EditError> {
        for depth in 1..=path.steps.len() {
            let mut part = path.clone();
            part.attribute = None;
            part.steps.truncate(depth);
            let tree = self.tree()?;
            if !part.select(&tree, tree.root()).is_empty() {
                continue;
            }
            let Some(step) = part.steps.pop() else { break };
            let Some(new) = seed(&step) else { return Err(EditError::Missing(text.to_owned())) };
            let parent = one(&tree, text, &part)?;
            let (range, new) = self.append_splice(&tree, parent, &new);
            *self = self.spliced(range, &new)?;
        }
        Ok(())
    }

    fn attribute_splice(
        &self,
        tree: &Tree<'_>,
        element: Element,
        name: &str,
        value: &str,
    ) -> (Range<usize>, String) {
        let tag = tree.tag(element);
        let value = attribute_value(value);
        if let Some(known) = tag.attributes.iter().find(|known| self.slice(known.name.clone()) == name) {
            return (known.value.clone(), value.into_owned());
        }
        // In the quotes of its neighbours.
        let last = tag.attributes.last();
        let quote = last.map_or("'", |last| self.slice(last.whole.end - 1..last.whole.end));
        let at = last.map_or(tag.name_end, |last| last.whole.end);
        (at..at, format!(" {name}={quote}{value}{quote}"))
    }

    fn text_splice(
        &self,
        tree: &Tree<'_>,
        element: Element,
        path: &str,
        value: &str,
    ) -> Result<(Range<usize>, String), EditError> {
        if tree.children_of(element).next().is_some() {
            return Err(EditError::Unfit(format!("`{path}` holds elements, not text; replace it")));
        }
        let new = partial_escape(value);
        let tag = tree.tag(element);
        if tag.closed {
            let name = tree.name_of(element);
            let open = self.slice(tree.range(element).start..tag.end - 2).trim_end();
            return Ok((tree.range(element), format!("{open}>{new}</{name}>")));
        }
        let content = tree.content(element);
        let remarks: String = tree.remarks_of(element).into_iter().map(|remark| self.slice(remark)).collect();
        Ok((content, format!("{new}{remarks}")))
    }

    fn append_splice(&self, tree: &Tree<'_>, parent: Element, xml: &str) -> (Range<usize>, String) {
        let content = tree.content(parent);
        let range = tree.range(parent);
        if let Some(last) = tree.children_of(parent).last() {
            let last = tree.range(last);
            let indent = tree.indentation(last.start).unwrap_or_default();
            // After a remark that stands on the last element's own line or below it.
            let end = content.end - trailing_blanks(self.slice(last.end..content.end));
            return (end..end, [indent, xml].concat());
        }
        if !self.slice(content.clone()).bytes().all(|byte| byte.is_ascii_whitespace()) {
            return (content.end..content.end, xml.to_owned());
        }
        let outer = tree.indentation(range.start).or_else(|| self.root_break(tree, parent));
        let inner = outer.map(|outer| [outer, self.unit(tree, parent, outer)].concat()).unwrap_or_default();
        let outer = outer.unwrap_or_default();
        let tag = tree.tag(parent);
        if !tag.closed {
            return (content, [&inner, xml, outer].concat());
        }
        let open = self.slice(range.start..tag.end - 2).trim_end();
        let name = tree.name_of(parent);
        (range, format!("{open}>{inner}{xml}{outer}</{name}>"))
    }

    /// The root begins a text rather than a line.
    fn root_break(&self, tree: &Tree<'_>, element: Element) -> Option<&'static str> {
        tree.parent_of(element).is_none().then_some(if self.text.contains("\r\n") { "\r\n" } else { "\n" })
    }

    /// By how much elements are indented here more than those around them.
    fn unit<'a>(&'a self, tree: &Tree<'a>, element: Element, outer: &str) -> &'a str {
        let around = tree.parent_of(element).and_then(|parent| {
            let start = tree.range(parent).start;
            tree.indentation(start).or_else(|| self.root_break(tree, parent))
        });
        let own = tree.indentation(tree.range(element).start).unwrap_or_default();
        match around.and_then(|around| own.get(around.len()..)) {
            Some(more) if !more.is_empty() && own.len() == outer.len() => more,
            _ => "  ",
        }
    }

    fn attribute_cut(&self, tree: &Tree<'_>, element: Element, name: &str) -> Option<Range<usize>> {
        let tag = tree.tag(element);
        let at = tag.attributes.iter().position(|known| self.slice(known.name.clone()) == name)?;
        let start = match at.checked_sub(1).and_then(|before| tag.attributes.get(before)) {
            Some(before) => before.whole.end,
            None => tag.name_end,
        };
        tag.attributes.get(at).map(|known| start..known.whole.end)
    }

    fn element_cut(&self, tree: &Tree<'_>, element: Element) -> Range<usize> {
        let range = tree.range(element);
        let after = self.slice(range.end..self.text.len()).trim_start_matches([' ', '\t']);
        let ends_line = after.starts_with('\n') || after.starts_with("\r\n");
        match tree.indentation(range.start) {
            Some(indent) if ends_line => range.start - indent.len()..range.end,
            _ => range,
        }
    }
}

/// The one element that a path means.
fn one(tree: &Tree<'_>, text: &str, path: &Path) -> Result<Element, EditError> {
    let found = path.select(tree, tree.root());
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(EditError::Missing(text.to_owned())),
        many => Err(EditError::Many { path: text.to_owned(), count: many.len() }),
    }
}

fn element_path(text: &str) -> Result<Path, EditError> {
    let path = Path::parse(text)?;
    match path.attribute {
        None => Ok(path),
        Some(_) => Err(EditError::Path {
            path: text.to_owned(),
            why: "an element is needed, not an attribute".into(),
        }),
    }
}

fn sibling<'x>(tree: &Tree<'_>, path: &str, xml: &'x str) -> Result<(Element, &'x str), EditError> {
    let element = one(tree, path, &element_path(path)?)?;
    match tree.parent_of(element) {
        Some(parent) => Ok((element, whole(tree, parent, xml)?)),
        None => Err(EditError::Unfit("beside the root there can be no other element".into())),
    }
}

/// What is inserted must be whole by itself: `</devices><devices>` is well-formed only where it lands.
fn whole<'x>(tree: &Tree<'_>, parent: Element, xml: &'x str) -> Result<&'x str, EditError> {
    let xml = xml.trim();
    let spaces = tree.name_spaces(parent).into_iter().map(|(prefix, uri)| {
        let name = prefix.map_or_else(|| "xmlns".to_owned(), |prefix| format!("xmlns:{prefix}"));
        format!(" {name}='{}'", attribute_value(&uri))
    });
    let wrapped = format!("<x{}>{xml}</x>", spaces.collect::<String>());
    let unfit = |why: &str| EditError::Unfit(format!("`{}` is no XML element: {why}", short(xml)));
    let wrapped = Tree::parse(&wrapped).map_err(|error| unfit(&error.to_string()))?;
    match wrapped.children_of(wrapped.root()).next() {
        Some(_) => Ok(xml),
        None => Err(unfit("it has no tag")),
    }
}

/// The element that a step asks for: its name, and the attributes its conditions name.
fn seed(step: &Step) -> Option<String> {
    if step.name == "*" {
        return None;
    }
    let mut attributes = String::new();
    for predicate in &step.predicates {
        let Predicate::Equals(Path { steps, attribute: Some(name), .. }, value) = predicate else {
            return None;
        };
        if !steps.is_empty() {
            return None;
        }
        attributes.push_str(&format!(" {name}='{}'", attribute_value(value)));
    }
    Some(format!("<{}{attributes}/>", step.name))
}

/// quick-xml's escapes, and for what readers of attributes would turn into blanks.
fn attribute_value(value: &str) -> Cow<'_, str> {
    let escaped = escape(value);
    if escaped.contains(['\n', '\t']) {
        return Cow::Owned(escaped.replace('\n', "&#10;").replace('\t', "&#9;"));
    }
    escaped
}

fn trailing_blanks(text: &str) -> usize {
    text.len() - text.trim_end().len()
}

fn short(text: &str) -> String {
    if text.chars().count() > 60 {
        text.chars().take(60).chain("...".chars()).collect()
    } else {
        text.to_owned()
    }
}
