//! Lossless edits of XML.

use std::sync::{Arc, Mutex, PoisonError};

use rhai::plugin::*;
use rhai::{Dynamic, FnPtr, ImmutableString};

use super::super::error::{Outcome, misuse};
use super::super::options::type_word;
use super::{ArrayOf, array, at, int};
use crate::model::Fault;
use crate::ops::Domain;
use crate::xml::edit::{Edit, EditError};

/// What a script has in its hands: closures get a copy of it, and all copies are one text.
#[derive(Debug, Clone)]
pub struct SharedEdit(Arc<Mutex<Edit>>);

impl SharedEdit {
    fn of(text: String) -> Result<Self, Fault> {
        Ok(Self(Arc::new(Mutex::new(Edit::parse(text)?))))
    }

    fn with<T>(&self, f: impl FnOnce(&mut Edit) -> Result<T, EditError>) -> Outcome<T> {
        let mut edit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f(&mut edit).map_err(|error| Fault::from(error).into())
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).text().to_owned()
    }
}

/// Numbers and truth values as XML writes them.
fn written(value: &Dynamic) -> Outcome<String> {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(text.to_string());
    }
    match value.as_bool() {
        Ok(on) => Ok(if on { "yes".into() } else { "no".into() }),
        Err(_) if value.is_int() || value.is_float() => Ok(value.to_string()),
        Err(_) => {
            Err(misuse(format!("set takes a text, a number or a truth value, not {}", type_word(value))))
        }
    }
}

#[export_module(manifest)]
pub(super) mod functions {
    /// An XML text that is read and changed in place.
    ///
    /// Paths are a small part of XPath, from the root on: `name`, `os/type/@machine`, `devices/disk[2]`,
    /// `devices/disk[target/@dev='vda']/source/@file`, `cpu/feature[@name='avx']/@policy`, `devices/*`.
    /// A change touches the bytes of that element or attribute and no others.
    pub type Xml = SharedEdit;

    /// An XML text, to be read and changed.
    ///
    /// Errors: `xml_error` for what is no XML.
    ///
    /// Example: `xml("<a><b c='1'/></a>").get("b/@c")`
    #[rhai_fn(name = "xml", return_raw)]
    pub fn parse(text: &str) -> Outcome<Xml> {
        Ok(SharedEdit::of(text.to_owned())?)
    }

    /// The text as it is now.
    ///
    /// Example: `let x = xml("<a/>"); x.set("@b", 1); x.text`
    #[rhai_fn(get = "text", pure)]
    pub fn text(xml: &mut Xml) -> String {
        xml.text()
    }

    /// The text of the first element, or the value of the first attribute; `()` where there is none.
    ///
    /// Errors: `bad_path`.
    ///
    /// Example: `xml(host("test:///default").domain("test").xml).get("os/type/@arch")`
    #[rhai_fn(name = "get", return_raw, pure)]
    pub fn get(xml: &mut Xml, path: &str) -> Outcome<Dynamic> {
        Ok(xml.with(|edit| edit.get(path))?.map_or(Dynamic::UNIT, Dynamic::from))
    }

    /// The texts of all elements, or the values of all attributes, that the path means.
    ///
    /// Errors: `bad_path`.
    ///
    /// Example: `xml("<a><b c='1'/><b c='2'/></a>").all("b/@c")`
    #[rhai_fn(name = "all", return_raw, pure)]
    pub fn all(xml: &mut Xml, path: &str) -> Outcome<ArrayOf<String>> {
        Ok(array(xml.with(|edit| edit.all(path))?))
    }

    /// The elements as they are written, tags and all.
    ///
    /// Errors: `bad_path`.
    ///
    /// Example: `xml("<a><b c='1'/></a>").elements("b")`
    #[rhai_fn(name = "elements", return_raw, pure)]
    pub fn elements(xml: &mut Xml, path: &str) -> Outcome<ArrayOf<String>> {
        Ok(array(
            xml.with(|edit| Ok(edit.elements(path)?.into_iter().map(str::to_owned).collect::<Vec<_>>()))?,
        ))
    }

    /// Sets the text of an element, or an attribute; makes what is missing on the way.
    ///
    /// `value`: a text, a number, or a truth value, which becomes `yes` or `no`.
    ///
    /// Errors: `many_elements` where the path means several; `unfit_xml`; `bad_path`.
    ///
    /// Example: `let x = xml("<cpu/>"); x.set("feature[@name='avx']/@policy", "disable"); x.text`
    #[rhai_fn(name = "set", return_raw, pure)]
    pub fn set(xml: &mut Xml, path: &str, value: Dynamic) -> Outcome<()> {
        let value = written(&value)?;
        xml.with(|edit| edit.set(path, &value))
    }

    /// Removes all that the path means; tells how many.
    ///
    /// Errors: `unfit_xml` for the root; `bad_path`.
    ///
    /// Example: `let x = xml("<cpu><feature name='avx'/></cpu>"); x.remove("feature[@name='avx']")`
    #[rhai_fn(name = "remove", return_raw, pure)]
    pub fn remove(xml: &mut Xml, path: &str) -> Outcome<i64> {
        Ok(int(xml.with(|edit| edit.remove(path))? as u64))
    }

    /// Adds an element as the last within another, indented like its neighbours.
    ///
    /// Errors: `no_element`, `many_elements`; `unfit_xml` for XML that is not whole.
    ///
    /// Example: `let x = xml("<a/>"); x.append("", "<b/>"); x.text`
    #[rhai_fn(name = "append", return_raw, pure)]
    pub fn append(xml: &mut Xml, path: &str, element: &str) -> Outcome<()> {
        xml.with(|edit| edit.append(path, element))
    }

    /// Adds an element before another one.
    ///
    /// Errors: `no_element`, `many_elements`; `unfit_xml` for XML that is not whole.
    ///
    /// Example: `let x = xml("<a><c/></a>"); x.before("c", "<b/>"); x.text`
    #[rhai_fn(name = "before", return_raw, pure)]
    pub fn before(xml: &mut Xml, path: &str, element: &str) -> Outcome<()> {
        xml.with(|edit| edit.before(path, element))
    }

    /// Adds an element after another one.
    ///
    /// Errors: `no_element`, `many_elements`; `unfit_xml` for XML that is not whole.
    ///
    /// Example: `let x = xml("<a><b/></a>"); x.after("b", "<c/>"); x.text`
    #[rhai_fn(name = "after", return_raw, pure)]
    pub fn after(xml: &mut Xml, path: &str, element: &str) -> Outcome<()> {
        xml.with(|edit| edit.after(path, element))
    }

    /// Puts another element in the place of one.
    ///
    /// Errors: `no_element`, `many_elements`; `unfit_xml` for XML that is not whole.
    ///
    /// Example: `let x = xml("<a><b/></a>"); x.replace("b", "<c/>"); x.text`
    #[rhai_fn(name = "replace", return_raw, pure)]
    pub fn replace(xml: &mut Xml, path: &str, element: &str) -> Outcome<()> {
        xml.with(|edit| edit.replace(path, element))
    }

    /// Changes its definition: `f` gets it as an Xml, and everything it leaves alone stays byte for byte.
    ///
    /// Returns whether anything changed. A guest that runs has the change from its next start on.
    ///
    /// Errors: those of Xml; `other_domain` when name or UUID changed; what libvirt says of the XML.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").edit(|x| x.set("title", "web")))`
    #[rhai_fn(name = "edit", return_raw, pure)]
    pub fn edit(ctx: NativeCallContext<'_>, domain: &mut Domain, f: FnPtr) -> Outcome<bool> {
        let definition = domain.definition()?;
        let shared = SharedEdit::of(definition.clone())?;
        let _value = f.call_within_context::<Dynamic>(&ctx, (shared.clone(),))?;
        Ok(at(&ctx, || domain.redefine(&definition, &shared.text()))?)
    }
}
