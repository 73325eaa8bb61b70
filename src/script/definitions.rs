//! What scripts can call, for the Rhai language server: so editors complete and explain.

use rhai::Engine;

/// The files by name: Rhai's own form, with kvmsh's types and documentation.
pub(super) fn files(engine: &Engine) -> Vec<(String, String)> {
    let definitions = engine.definitions().with_headers(true);
    let files = definitions.iter_files();
    files.map(|(name, text)| (name, text.lines().map(|line| plain(line) + "\n").collect())).collect()
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
