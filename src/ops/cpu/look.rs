//! What the operating system says of a CPU, and the map of its libvirt: one round trip.

use std::collections::BTreeMap;

use crate::model::Fault;
use crate::ops::Host;
use crate::ssh::Probe;
use crate::xml::cpu::CpuMap;

/// What the system says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The CPU's own name.
    pub name: String,
    /// Microcode revision, as the kernel writes it.
    pub microcode: String,
    /// Flags in `/proc/cpuinfo`, by the kernel's names.
    pub flags: Vec<String>,
    /// What sysfs says of each vulnerability.
    pub vulnerabilities: BTreeMap<String, String>,
}

/// Asks a host; with `map` for the map of models too.
pub(super) fn look(host: &Host, map: bool) -> Result<(Look, CpuMap), Fault> {
    let probe = Probe::script(include_str!("look.sh"), [if map { "map" } else { "" }]);
    let output = host.shell().probe(&probe).map_err(|error| Fault::from(error).on_host(host.name()))?;
    let (look, files) = read(&output.text());
    let map = CpuMap::read(files.iter().map(String::as_str))
        .map_err(|error| Fault::from(error).on_host(host.name()))?;
    Ok((look, map))
}

fn read(text: &str) -> (Look, Vec<String>) {
    let mut look = Look::default();
    let mut files: Vec<String> = Vec::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("==> ") {
            section = name;
            if name == "map" {
                files.push(String::new());
            }
            continue;
        }
        if section == "map" {
            if let Some(file) = files.last_mut() {
                file.push_str(line);
                file.push('\n');
            }
            continue;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim().to_owned());
        match (section, key) {
            ("vulnerabilities", _) => drop(look.vulnerabilities.insert(key.to_owned(), value)),
            (_, "model name") => look.name = value,
            (_, "microcode") => look.microcode = value,
            (_, "flags" | "Features") => look.flags = value.split_whitespace().map(str::to_owned).collect(),
            _ => {}
        }
    }
    (look, files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_told_apart() {
        let (look, files) = read(
            "==> cpuinfo\nmodel name\t: A CPU: fast\nmicrocode\t: 0x1\nflags\t\t: fpu avx\n\n==> vulnerabilities\n\
             mds: Not affected\nspectre_v2: Mitigation: Retpolines\n==> map\n<cpus>\n</cpus>\n==> map\n<cpus/>\n",
        );
        assert_eq!((look.name.as_str(), look.microcode.as_str()), ("A CPU: fast", "0x1"));
        assert_eq!(look.flags, ["fpu", "avx"]);
        assert_eq!(look.vulnerabilities["spectre_v2"], "Mitigation: Retpolines");
        assert_eq!(files, ["<cpus>\n</cpus>\n", "<cpus/>\n"]);
        assert_eq!(read("").0, Look::default());
    }
}
