//! One function or property, in script terms.

use rhai::{FuncInfo, FuncMetadata};

/// Where a function comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// kvmsh's own.
    Kvmsh,
    /// Rhai's standard packages.
    Rhai,
    /// A script or a line at the prompt.
    Script,
}

/// How it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `name(…)`, or `object.name(…)`.
    Function,
    /// `object.name`
    Property,
    /// `object.name = value`
    Setter,
}

/// One function or property, as `help()` knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name without the object.
    pub name: String,
    /// How it is used.
    pub kind: Kind,
    /// The object it belongs to, for instance `Domain`, or `array`.
    pub object: Option<String>,
    /// The module it has to be imported from, as scripts call it: `evacuate`.
    pub module: Option<String>,
    /// Names and types of what stands in the parentheses; a type may be empty.
    pub parameters: Vec<(String, String)>,
    /// What it returns; empty where that is nothing, or anything.
    pub returns: String,
    /// Its documentation, without comment marks.
    pub doc: String,
    /// Where it comes from.
    pub origin: Origin,
}

impl Entry {
    /// `None` for what nobody calls by name: operators, closures, conversions.
    pub(super) fn of(function: &FuncInfo<'_>, origin: Origin) -> Option<Self> {
        let data = function.metadata;
        let (kind, name) = match data.name.split_once('$') {
            None => (Kind::Function, data.name.as_str()),
            Some(("get", name)) => (Kind::Property, name),
            Some(("set", name)) => (Kind::Setter, name),
            Some(_) => return None,
        };
        if !is_word(name) || matches!(name, "to_string" | "to_debug") && origin != Origin::Rhai {
            return None;
        }
        let mut parameters = parameters(data);
        // In native code the object is what the function may change; in scripts it is `this`.
        let object = (data.params_info.first())
            .filter(|first| kind != Kind::Function || first.contains("&mut"))
            .and_then(|_| (!parameters.is_empty()).then(|| parameters.remove(0).1));
        Some(Self {
            name: name.to_owned(),
            kind,
            object,
            module: (!function.namespace.is_empty()).then(|| function.namespace.to_string()),
            parameters,
            returns: returns(&data.return_type),
            doc: match &function.script {
                Some(script) => clean(script.comments.iter().copied()),
                None => clean(data.comments.iter().map(AsRef::as_ref)),
            },
            origin: if function.script.is_some() { Origin::Script } else { origin },
        })
    }

    /// The first sentence of the documentation.
    pub fn summary(&self) -> String {
        summary(&self.doc)
    }

    /// How it is written: `domain.migrate(target, options)`.
    pub fn usage(&self) -> String {
        self.written(|name, _| name.to_owned())
    }

    /// As [`Self::usage`], with types: `domain.shutdown(seconds: number)`.
    pub fn call(&self) -> String {
        self.written(|name, kind| match kind {
            "" | "any" => name.to_owned(),
            kind => format!("{name}: {kind}"),
        })
    }

    /// As [`Self::call`], with what it returns.
    pub fn signature(&self) -> String {
        match self.returns.as_str() {
            "" => self.call(),
            returns => format!("{} -> {returns}", self.call()),
        }
    }

    fn written(&self, parameter: impl Fn(&str, &str) -> String) -> String {
        let list: Vec<String> = self.parameters.iter().map(|(name, kind)| parameter(name, kind)).collect();
        let list = list.join(", ");
        let before = match (&self.object, &self.module) {
            (Some(object), _) => format!("{}.", object.to_lowercase()),
            (None, Some(module)) => format!("{module}::"),
            (None, None) => String::new(),
        };
        match self.kind {
            Kind::Function => format!("{before}{}({list})", self.name),
            Kind::Property => format!("{before}{}", self.name),
            Kind::Setter => {
                format!("{before}{} = {}", self.name, self.parameters.first().map_or("", |(_, kind)| kind))
            }
        }
    }

    /// The code of the line that begins with `Example:`.
    pub fn examples(&self) -> impl Iterator<Item = &str> {
        self.doc.lines().filter_map(|line| line.strip_prefix("Example:")).map(|code| {
            let code = code.trim();
            code.strip_prefix('`').and_then(|code| code.strip_suffix('`')).unwrap_or(code)
        })
    }
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn parameters(data: &FuncMetadata) -> Vec<(String, String)> {
    let parameter = |info: &str| {
        let (name, kind) = info.split_once(':').unwrap_or((info, ""));
        (name.trim().to_owned(), if kind.is_empty() { String::new() } else { type_word(kind) })
    };
    // The last is what it returns where the macro has written that down.
    data.params_info.iter().take(data.num_params).map(|info| parameter(info)).collect()
}

/// What a function returns, by the type that it has in native code; empty where that is nothing, or anything.
pub(in super::super) fn returns(rust: &str) -> String {
    let inner = ["Outcome<", "RhaiResultOf<", "Result<"].iter().find_map(|outer| {
        let inner = rust.trim().strip_prefix(outer)?.strip_suffix('>')?;
        Some(inner.split_once(", Box<").map_or(inner, |(value, _)| value))
    });
    match type_word(inner.unwrap_or(rust)).as_str() {
        "nothing" | "any" | "RhaiResult" => String::new(),
        word => word.to_owned(),
    }
}

/// A type's name as scripts know it.
pub(in super::super) fn type_word(rust: &str) -> String {
    let rust = rust.split(" | ").next().unwrap_or(rust);
    let rust = rust.trim().trim_start_matches('&').trim_start_matches("mut ").trim();
    if let Some(item) = rust.strip_prefix("ArrayOf<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("array of {}", type_word(item));
    }
    match rust.rsplit("::").next().unwrap_or(rust) {
        "()" => "nothing".into(),
        "i64" | "INT" | "f64" | "FLOAT" | "usize" | "Size" => "number".into(),
        "&str" | "str" | "String" | "ImmutableString" => "string".into(),
        "Array" | "Vec<Dynamic>" => "array".into(),
        "Map" => "map".into(),
        "Blob" => "blob".into(),
        "FnPtr" | "Fn" => "function".into(),
        "Dynamic" | "?" | "" => "any".into(),
        "ScriptFault" => "Error".into(),
        other => other.to_owned(),
    }
}

/// The first sentence.
pub(super) fn summary(doc: &str) -> String {
    let paragraph: Vec<&str> = doc.lines().take_while(|line| !line.trim().is_empty()).collect();
    let paragraph = paragraph.join(" ");
    match paragraph.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => paragraph,
    }
}

/// Comments without their marks.
pub(super) fn clean<'a>(comments: impl Iterator<Item = &'a str>) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for comment in comments {
        let inner = comment.strip_prefix("/**").and_then(|c| c.strip_suffix("*/")).unwrap_or(comment);
        lines.extend(inner.lines().map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("///").unwrap_or(line);
            line.strip_prefix(' ').unwrap_or(line).trim_end()
        }));
    }
    lines.join("\n").trim().to_owned()
}
