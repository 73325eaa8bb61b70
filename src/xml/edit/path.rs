//! Which element or attribute is meant: a small part of XPath.
//!
//! `devices/disk[target/@dev='vda']/source/@file`: names as they are written, prefixes too, from the root's
//! children on; `[2]` the second, `[@name='avx']` and `[target/@dev='vda']` by what they hold, `[@name]` by
//! having it; `*` any element; a last `@name` is an attribute. `/domain/name` names the root as well.

use super::{EditError, Element, Tree};

/// A path, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Path {
    /// The first step is the root itself.
    absolute: bool,
    pub(super) steps: Vec<Step>,
    pub(super) attribute: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) predicates: Vec<Predicate>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Predicate {
    /// Counted from 1, as XPath does.
    Index(usize),
    Has(Path),
    Equals(Path, String),
}

/// Predicates within predicates; more is no path that a person wrote.
const DEEPEST: usize = 8;

impl Path {
    pub(super) fn parse(text: &str) -> Result<Self, EditError> {
        let fail = |why: String| EditError::Path { path: text.to_owned(), why };
        let mut reader = Reader { rest: text, depth: 0 };
        let path = reader.path().map_err(fail)?;
        if reader.rest.is_empty() { Ok(path) } else { Err(fail(format!("`{}` is too much", reader.rest))) }
    }

    /// The elements that it means, below `from` (its root, for an absolute path), in document order.
    pub(super) fn select(&self, tree: &Tree<'_>, from: Element) -> Vec<Element> {
        let mut found = vec![from];
        let mut steps = self.steps.iter();
        if self.absolute {
            let Some(first) = steps.next() else { return found };
            found.retain(|root| first.fits(tree, *root));
        }
        for step in steps {
            found = found.into_iter().flat_map(|parent| step.below(tree, parent)).collect();
        }
        found
    }

    /// What it reads: the texts of the elements or the values of the attributes.
    pub(super) fn values(&self, tree: &Tree<'_>, from: Element) -> Vec<String> {
        let found = self.select(tree, from).into_iter();
        match &self.attribute {
            None => found.map(|element| tree.text_of(element)).collect(),
            Some(name) => found.filter_map(|element| tree.attribute_of(element, name)).collect(),
        }
    }
}

impl Step {
    fn fits(&self, tree: &Tree<'_>, element: Element) -> bool {
        self.name == "*" || tree.name_of(element) == self.name
    }

    fn below(&self, tree: &Tree<'_>, parent: Element) -> Vec<Element> {
        let mut found: Vec<_> = tree.children_of(parent).filter(|child| self.fits(tree, *child)).collect();
        for predicate in &self.predicates {
            match predicate {
                Predicate::Index(index) => found = found.get(index - 1).copied().into_iter().collect(),
                Predicate::Has(path) if path.attribute.is_none() => {
                    found.retain(|element| !path.select(tree, *element).is_empty());
                }
                Predicate::Has(path) => found.retain(|element| !path.values(tree, *element).is_empty()),
                Predicate::Equals(path, value) => {
                    found.retain(|element| path.values(tree, *element).contains(value));
                }
            }
        }
        found
    }
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn eat(&mut self, mark: char) -> bool {
        let rest = self.rest.strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn path(&mut self) -> Result<Path, String> {
        let mut path = Path { absolute: self.eat('/'), ..Path::default() };
        if self.rest.is_empty() && !path.absolute {
            return Ok(path); // the root itself
        }
        loop {
            if self.eat('@') {
                path.attribute = Some(self.name()?);
                return Ok(path);
            }
            let name = if self.eat('*') { "*".to_owned() } else { self.name()? };
            let mut predicates = Vec::new();
            while self.eat('[') {
                predicates.push(self.predicate()?);
            }
            path.steps.push(Step { name, predicates });
            if !self.eat('/') {
                return Ok(path);
            }
        }
    }

    fn name(&mut self) -> Result<String, String> {
        let end = self.rest.find(|c: char| c.is_whitespace() || "/[]@='\"<>&*".contains(c));
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if name.is_empty() {
            let found = rest.chars().next().map_or_else(|| "the end".to_owned(), |c| format!("`{c}`"));
            return Err(format!("a name is missing before {found}"));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn predicate(&mut self) -> Result<Predicate, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deeply".into());
        }
        let predicate = match self.rest.find(|c: char| !c.is_ascii_digit()) {
            Some(end) if end > 0 => {
                let (digits, rest) = self.rest.split_at(end);
                self.rest = rest;
                match digits.parse() {
                    Ok(index) if index > 0 => Predicate::Index(index),
                    _ => return Err(format!("[{digits}] means none; the first is [1]")),
                }
            }
            _ => self.condition()?,
        };
        self.depth -= 1;
        if self.eat(']') { Ok(predicate) } else { Err("a `]` is missing".into()) }
    }

    fn condition(&mut self) -> Result<Predicate, String> {
        let path = self.path()?;
        if !self.eat('=') {
            return Ok(Predicate::Has(path));
        }
        let quote = if self.eat('\'') { '\'' } else { '"' };
        let rest = if quote == '"' { self.rest.strip_prefix('"') } else { Some(self.rest) };
        let Some((value, rest)) = rest.and_then(|rest| rest.split_once(quote)) else {
            return Err("the value needs quotes: [@name='value']".into());
        };
        let value = value.to_owned();
        self.rest = rest;
        Ok(Predicate::Equals(path, value))
    }
}
