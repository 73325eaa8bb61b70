//! `:record`: a session becomes a script that `kvmsh check` accepts.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::history;
use crate::model::{Diagnosis, Fault};
use crate::script::{End, Runner, Source};

/// A recording under way. The file is written anew after each entry.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    prologue: Option<String>,
    parts: Vec<Part>,
}

/// What one entry left.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// Code that runs.
    Code { text: String, gave_value: bool },
    /// Lines that stay comments, and why.
    Comment { text: String, why: String, failed: bool, gave_value: bool },
}

impl Record {
    /// Begins a file that must not be there yet; `prologue` is what a script needs first.
    ///
    /// # Errors
    /// `record`
    pub(super) fn begin(path: &Path, prologue: Option<&str>) -> Result<Self, Fault> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
            let fault = Fault::new("record", format!("cannot record to {}", path.display()));
            match error.kind() {
                std::io::ErrorKind::AlreadyExists => fault
                    .because("there is such a file already")
                    .hint("name another file, or remove that one"),
                _ => fault.because(error.to_string()),
            }
        })?;
        let record =
            Self { path: path.to_owned(), prologue: prologue.map(ToOwned::to_owned), parts: Vec::new() };
        record.write()?;
        Ok(record)
    }

    /// Adds an entry with what came of it.
    ///
    /// # Errors
    /// `record`: the file cannot be written.
    pub(super) fn add(
        &mut self,
        runner: &Runner,
        text: &str,
        result: &Result<End, Diagnosis>,
        planned: bool,
    ) -> Result<(), Fault> {
        // Of a script that was read with `:source`.
        let text =
            if text.starts_with("#!") { text.split_once('\n').map_or("", |(_, rest)| rest) } else { text };
        let text = text.trim();
        let nothing = crate::model::Data::Nothing;
        let gave_value = matches!(result, Ok(End::Value(value)) if *value != nothing);
        let failed = result.is_err();
        let comment =
            |text: &str, why: String| Part::Comment { text: text.to_owned(), why, failed, gave_value };
        let part = match result {
            _ if history::has_secret(text) => comment("", "an entry with a secret was left out".to_owned()),
            Ok(End::Exit(_)) => return Ok(()),
            // help() and the like are for the person.
            Ok(_) if text.starts_with("help(") => return Ok(()),
            Err(diagnosis) => comment(text, format!("failed: {}", diagnosis.fault.message)),
            Ok(_) if planned => comment(text, "planned only, with `:plan on`".to_owned()),
            Ok(End::Value(_)) => Part::Code { text: text.to_owned(), gave_value },
        };
        self.keep(runner, part);
        self.write()
    }

    /// Keeps a part if the whole is still a script; else as a comment that says why it is none.
    fn keep(&mut self, runner: &Runner, part: Part) {
        let Part::Code { text, gave_value } = &part else {
            self.parts.push(part);
            return;
        };
        let gave_value = *gave_value;
        let before = self.parts.clone();
        // A script may define a function only once: what called the one before goes on to call that, under another name.
        for (name, count, _) in runner.functions_in(text) {
            self.put_aside(runner, &name, count);
        }
        let text = text.clone();
        // What an entry has in `it` is what the one before has given: there it becomes a variable.
        let named = !runner.uses(&text, "it") || self.name_last_value(runner);
        self.parts.push(part);
        let wrong = match named {
            true => self.wrong(runner),
            false => {
                Some("`it` is what an entry gave that is not recorded, or is no single expression".into())
            }
        };
        let Some(wrong) = wrong else { return };
        self.parts = before;
        let why = format!("works at the prompt only: {wrong}");
        self.parts.push(Part::Comment { text, why, failed: false, gave_value });
    }

    /// A function that is defined anew: the old one keeps its callers, under a name of its own; without any it goes.
    fn put_aside(&mut self, runner: &Runner, name: &str, count: usize) {
        let defines = |text: &str| {
            let all = runner.functions_in(text);
            all.into_iter()
                .find(|(other, number, _)| other == name && *number == count)
                .map(|(.., range)| range)
        };
        let code = |part: &Part| match part {
            Part::Code { text, .. } => Some(text.clone()),
            Part::Comment { .. } => None,
        };
        let texts: Vec<String> = self.parts.iter().filter_map(code).collect();
        let Some((definition, range)) = texts.iter().find_map(|text| Some((text, defines(text)?))) else {
            return;
        };
        let mut without = definition.clone();
        without.replace_range(range, "");
        let callers = runner.mentions(&without, name)
            || texts.iter().any(|text| text != definition && runner.mentions(text, name));
        let taken = |new: &str| texts.iter().any(|text| runner.mentions(text, new));
        let new = (1..).map(|n| format!("{name}_{n}")).find(|new| !taken(new)).unwrap_or_default();
        let definition = definition.clone();
        for part in &mut self.parts {
            let Part::Code { text, .. } = part else { continue };
            if callers {
                *text = runner.renamed(text, name, &new);
            } else if *text == definition {
                text.clone_from(&without);
            }
        }
    }

    /// The last entry that gave a value gets it as the variable `it`; false where there is none, or it cannot.
    fn name_last_value(&mut self, runner: &Runner) -> bool {
        let gave = |part: &&mut Part| {
            let (Part::Code { gave_value, .. } | Part::Comment { gave_value, .. }) = part;
            *gave_value
        };
        let Some(Part::Code { text: giver, .. }) = self.parts.iter_mut().rev().find(gave) else {
            return false;
        };
        if giver.starts_with("let it = ") {
            return true;
        }
        let expression = runner.is_expression(giver);
        if expression {
            *giver = format!("let it = {};", giver.trim_end_matches(';'));
        }
        expression
    }

    /// Why `kvmsh check` would not accept it.
    fn wrong(&self, runner: &Runner) -> Option<String> {
        let source = Source { name: self.path.display().to_string(), text: self.text() };
        runner.check(&source, None).into_iter().next().map(|diagnosis| diagnosis.fault.message)
    }

    fn text(&self) -> String {
        let mut out = String::from("#!/usr/bin/env kvmsh\n// Recorded at the prompt.\n");
        if let Some(prologue) = &self.prologue {
            out.push_str(&format!("{prologue}\n"));
        }
        for part in &self.parts {
            match part {
                Part::Code { text, .. } if text.trim().is_empty() => {}
                Part::Code { text, .. } => {
                    out.push('\n');
                    out.push_str(text);
                    // A comment at the end would hide it.
                    let last = text.lines().next_back().unwrap_or_default();
                    out.push_str(match text.ends_with(';') {
                        true => "\n",
                        false if last.contains("//") => "\n;\n",
                        false => ";\n",
                    });
                }
                Part::Comment { text, why, .. } => {
                    out.push('\n');
                    why.lines().for_each(|line| out.push_str(&format!("// {line}\n")));
                    text.lines().for_each(|line| out.push_str(&format!("//     {line}\n")));
                }
            }
        }
        out
    }

    fn write(&self) -> Result<(), Fault> {
        let written = std::fs::write(&self.path, self.text())
            .and_then(|()| std::fs::set_permissions(&self.path, Permissions::from_mode(0o700)));
        written.map_err(|error| {
            Fault::new("record", format!("cannot write {}; the recording ends", self.path.display()))
                .because(error.to_string())
        })
    }

    /// What has been recorded so far.
    pub(super) fn summary(&self) -> String {
        // The first definition of a function that nobody had called is gone.
        let is_code = |part: &&Part| matches!(part, Part::Code { text, .. } if !text.trim().is_empty());
        let comments = |of: bool| {
            let is_one = |part: &&Part| matches!(part, Part::Comment { failed, .. } if *failed == of);
            self.parts.iter().filter(is_one).count()
        };
        let entries = match self.parts.iter().filter(is_code).count() {
            1 => "1 entry".to_owned(),
            code => format!("{code} entries"),
        };
        let mut notes = Vec::new();
        if let failed @ 1.. = comments(true) {
            notes.push(format!("{failed} that failed"));
        }
        if let other @ 1.. = comments(false) {
            notes.push(format!("{other} other"));
        }
        let mut out = format!("{entries} recorded in {}", self.path.display());
        if !notes.is_empty() {
            out.push_str(&format!("; as comments: {}", notes.join(", ")));
        }
        out
    }
}
