//! What scripts can call, for the Rhai language server: so editors complete and explain.

use rhai::Engine;

use super::help::Index;

/// The files by name: Rhai's own form, with kvmsh's types and documentation, and one for each module of the standard library.
pub(super) fn files(engine: &Engine, index: &Index) -> Vec<(String, String)> {
    let definitions = engine.definitions().with_headers(true);
    let files = definitions.iter_files();
    let native = files.map(|(name, text)| (name, text.lines().map(|line| plain(line) + "\n").collect()));
    native.chain(index.modules.iter().map(|topic| module(index, &topic.name, &topic.doc))).collect()
}

/// The file of a module that scripts import.
fn module(index: &Index, path: &str, doc: &str) -> (String, String) {
    let alias = path.rsplit('/').next().unwrap_or(path);
    let comment = |text: &str| {
        text.lines().map(|line| format!("/// {line}").trim_end().to_owned() + "\n").collect::<String>()
    };
    let mut text = format!("{}module \"{path}\";\n", comment(doc));
    for entry in index.entries.iter().filter(|entry| entry.module.as_deref() == Some(alias)) {
        let parameters: Vec<String> = entry.parameters.iter().map(|(name, _)| format!("{name}: ?")).collect();
        text.push_str(&format!(
            "\n{}fn {}({}) -> ?;\n",
            comment(&entry.doc),
            entry.name,
            parameters.join(", ")
        ));
    }
    (format!("{}.d.rhai", path.replace('/', "-")), text)
}

/// A line without the Rust around the type that a function returns.
fn plain(line: &str) -> String {
    if line.trim_start().starts_with("//") {
        return line.to_owned();
    }
    let line = line.strip_suffix(" ;").map_or_else(|| line.to_owned(), |line| format!("{line};"));
    let Some((before, after)) = line.rsplit_once("-> Outcome<") else { return line };
    let returned = after.strip_suffix(">;").unwrap_or(after).trim();
    let returned = if returned == "Dynamic" { "?" } else { returned };
    format!("{before}-> {returned};")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_returned_is_named_without_rust_around_it() {
        assert_eq!(plain("fn start(domain: Domain) -> Outcome<()>;"), "fn start(domain: Domain) -> ();");
        assert_eq!(plain("fn f() -> Outcome<?>;"), "fn f() -> ?;");
        assert_eq!(plain("/// -> Outcome<x>;"), "/// -> Outcome<x>;");
        assert_eq!(plain("fn f() -> Outcome<Host> ;"), "fn f() -> Host;");
        assert_eq!(plain("fn size() -> int;"), "fn size() -> int;");
    }
}
