//! Commands and files on hosts.

use std::path::Path;

use rhai::plugin::*;
use rhai::{Blob, Dynamic, ImmutableString, Map};

use super::super::error::{Outcome, misuse};
use super::super::options::{Keys, Options, keys, texts, type_word};
use super::{at, int};
use crate::model::Fault;
use crate::ops::Host;
use crate::ssh::{Command, Output, WriteOptions};

/// The most that `read` takes into memory: 64 MiB, as much as a command may write.
const READ_LIMIT: u64 = 64 << 20;

fn command_of(command: &Dynamic) -> Outcome<Command> {
    if let Some(line) = command.read_lock::<ImmutableString>() {
        return Ok(Command::line(line.to_string()));
    }
    if command.is_array() {
        let argv = texts("run", command)?;
        if argv.is_empty() {
            return Err(misuse("run: the array has no program in it"));
        }
        return Ok(Command::argv(argv));
    }
    Err(misuse(format!("run takes a text or an array of texts, not {}", type_word(command))))
}

fn bytes_of(function: &str, data: &Dynamic) -> Outcome<Vec<u8>> {
    if let Some(text) = data.read_lock::<ImmutableString>() {
        return Ok(text.as_bytes().to_vec());
    }
    match data.read_lock::<Blob>() {
        Some(blob) => Ok(blob.to_vec()),
        None => Err(misuse(format!("{function} takes a text or a blob, not {}", type_word(data)))),
    }
}

fn output_map(output: Option<Output>) -> Map {
    let planned = output.is_none();
    let output = output.unwrap_or(Output { status: 0, signal: None, stdout: Vec::new(), stderr: Vec::new() });
    let mut map = Map::from([
        ("status".into(), i64::from(output.status).into()),
        ("signal".into(), output.signal.map_or(Dynamic::UNIT, Dynamic::from)),
        ("stdout".into(), String::from_utf8_lossy(&output.stdout).into_owned().into()),
        ("stderr".into(), String::from_utf8_lossy(&output.stderr).into_owned().into()),
    ]);
    if planned {
        map.insert("planned".into(), true.into());
    }
    map
}

fn failed(host: &Host, command: &Command, output: &Output) -> Fault {
    let how = match &output.signal {
        Some(signal) => format!("was ended by SIG{signal}"),
        None => format!("ended with status {}", output.status),
    };
    let said = if output.stderr.is_empty() { output.text() } else { output.error_text() };
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    Fault::new("command_failed", format!("`{}` {how}", command.display())).on_host(host.name()).because(last)
}

fn write_options(keys: &'static Keys, options: Map) -> Outcome<WriteOptions> {
    let options = Options::new(keys, options)?;
    let mode = options.count("mode")?;
    let mode = mode
        .map(|mode| u32::try_from(mode).ok().filter(|mode| *mode <= 0o7777))
        .map(|mode| mode.ok_or_else(|| misuse(format!("{}: `mode` is at most 0o7777", keys.function))))
        .transpose()?;
    Ok(WriteOptions { mode, owner: options.text("owner")?, backup: options.flag("backup")? })
}

#[export_module(manifest)]
pub(super) mod functions {
    /// Runs a command on the host, over SSH, or here for a local host.
    ///
    /// A text is a line for `sh`; an array is a program and its arguments, which no shell takes apart. Returns `#{status, signal, stdout, stderr}`.
    ///
    /// Errors: `command_failed` for a status other than 0; faults of the connection; `command_timeout` after 600 s.
    ///
    /// Example: `host("test:///default").run(["echo", "a  b"]).stdout`
    #[rhai_fn(name = "run", return_raw, pure)]
    pub fn run(ctx: NativeCallContext<'_>, host: &mut Host, command: Dynamic) -> Outcome<Map> {
        run_with(ctx, host, command, Map::new())
    }

    /// As `run(command)`, with options.
    ///
    /// Example: `host("test:///default").run("exit 3", #{check: false, changes: false}).status`
    #[rhai_fn(name = "run", return_raw, pure)]
    pub fn run_with(
        ctx: NativeCallContext<'_>,
        host: &mut Host,
        command: Dynamic,
        options: Map,
    ) -> Outcome<Map> {
        let options = Options::new(&keys::RUN, options)?;
        let mut command = command_of(&command)?.sudo(options.flag("sudo")?);
        if let Some(stdin) = options.value("stdin") {
            command = command.stdin(bytes_of("run: option `stdin`", stdin)?);
        }
        if let Some(note) = options.text("note")? {
            command = command.note(note);
        }
        command.passing = options.maybe_flag("passing")?.unwrap_or(false);
        if let Some(timeout) = options.seconds("timeout")? {
            command = command.timeout(Some(timeout));
        }
        let reads_only = !options.maybe_flag("changes")?.unwrap_or(true);
        let output = at(&ctx, || host.run(&command, reads_only))?;
        let check = options.maybe_flag("check")?.unwrap_or(true);
        if let Some(output) = output.as_ref().filter(|output| check && !output.ok()) {
            return Err(failed(host, &command, output).into());
        }
        Ok(output_map(output))
    }

    /// A file's contents as text, at most 64 MiB; bytes that are no UTF-8 are replaced.
    ///
    /// Errors: `no_such_file`, `permission_denied`, `file_too_large`.
    ///
    /// Example: `host("test:///default").read("/etc/hostname").len() > 0`
    #[rhai_fn(name = "read", return_raw, pure)]
    pub fn read(host: &mut Host, path: &str) -> Outcome<String> {
        Ok(String::from_utf8_lossy(&host.read_file(path, READ_LIMIT)?).into_owned())
    }

    /// A file's contents as a blob, at most 64 MiB.
    ///
    /// Errors: `no_such_file`, `permission_denied`, `file_too_large`.
    ///
    /// Example: `host("test:///default").read_blob("/etc/hostname").len() > 0`
    #[rhai_fn(name = "read_blob", return_raw, pure)]
    pub fn read_blob(host: &mut Host, path: &str) -> Outcome<Blob> {
        Ok(host.read_file(path, READ_LIMIT)?)
    }

    /// Writes a file, whole or not at all.
    ///
    /// It is written under a temporary name, synced, then moved into place; owner and mode of a file that was there stay. Returns whether anything changed.
    ///
    /// Errors: `no_space`, `permission_denied`, …; the file that was there is then untouched.
    ///
    /// Example: `plan(|| host("test:///default").write("/tmp/kvmsh-example", "hello\n"))`
    #[rhai_fn(name = "write", return_raw, pure)]
    pub fn write(
        ctx: NativeCallContext<'_>,
        host: &mut Host,
        path: &str,
        contents: Dynamic,
    ) -> Outcome<bool> {
        write_with(ctx, host, path, contents, Map::new())
    }

    /// As `write(path, contents)`, with options.
    ///
    /// Example: `plan(|| host("test:///default").write("/etc/motd", "Welcome.\n", #{mode: 0o644, backup: true}))`
    #[rhai_fn(name = "write", return_raw, pure)]
    pub fn write_with(
        ctx: NativeCallContext<'_>,
        host: &mut Host,
        path: &str,
        contents: Dynamic,
        options: Map,
    ) -> Outcome<bool> {
        let how = write_options(&keys::WRITE, options)?;
        let bytes = bytes_of("write", &contents)?;
        Ok(at(&ctx, || host.write_file(path, &bytes, &how))?.is_none_or(|written| written.changed))
    }

    /// Whether there is anything at this path.
    ///
    /// Example: `host("test:///default").exists("/etc")`
    #[rhai_fn(name = "exists", return_raw, pure)]
    pub fn exists(host: &mut Host, path: &str) -> Outcome<bool> {
        Ok(host.file(path)?.is_some())
    }

    /// Copies a local file to the host, with progress; atomic as `write`.
    ///
    /// Errors: as `write`, and `local_file`.
    ///
    /// Example: `plan(|| host("test:///default").upload("/etc/hostname", "/tmp/name"))`
    #[rhai_fn(name = "upload", return_raw, pure)]
    pub fn upload(ctx: NativeCallContext<'_>, host: &mut Host, local: &str, remote: &str) -> Outcome<()> {
        upload_with(ctx, host, local, remote, Map::new())
    }

    /// As `upload(local, remote)`, with the options of `write`.
    ///
    /// Example: `plan(|| host("test:///default").upload("/etc/hostname", "/tmp/name", #{mode: 0o600}))`
    #[rhai_fn(name = "upload", return_raw, pure)]
    pub fn upload_with(
        ctx: NativeCallContext<'_>,
        host: &mut Host,
        local: &str,
        remote: &str,
        options: Map,
    ) -> Outcome<()> {
        let how = write_options(&keys::UPLOAD, options)?;
        Ok(at(&ctx, || host.upload(Path::new(local), remote, &how))?)
    }

    /// Copies a file from the host to here, with progress; a local file that is there is replaced at the end.
    ///
    /// Errors: `no_such_file`, `permission_denied`, `local_file`.
    ///
    /// Example: `plan(|| host("test:///default").download("/etc/hostname", "name"))`
    #[rhai_fn(name = "download", return_raw, pure)]
    pub fn download(host: &mut Host, remote: &str, local: &str) -> Outcome<()> {
        Ok(host.download(remote, Path::new(local))?)
    }

    /// What the host is, in one round trip.
    ///
    /// `#{os_id, os_version, os_name, kernel, arch, hostname, machine_id,
    /// uptime, package_manager, kvm, virtualization, user, time_offset_ms, time_error_ms}`; uptime in
    /// seconds. The host's clock is ahead of this machine's by `time_offset_ms`, give or take `time_error_ms`.
    ///
    /// Example: `host("test:///default").facts.kernel`
    #[rhai_fn(get = "facts", return_raw, pure)]
    pub fn facts(host: &mut Host) -> Outcome<Map> {
        let facts = host.facts()?;
        Ok(Map::from([
            ("os_id".into(), facts.os_id.into()),
            ("os_version".into(), facts.os_version.into()),
            ("os_name".into(), facts.os_name.into()),
            ("kernel".into(), facts.kernel.into()),
            ("arch".into(), facts.arch.into()),
            ("hostname".into(), facts.hostname.into()),
            ("machine_id".into(), facts.machine_id.into()),
            ("uptime".into(), int(facts.uptime.as_secs()).into()),
            ("package_manager".into(), facts.package_manager.into()),
            ("kvm".into(), facts.kvm.into()),
            ("virtualization".into(), facts.virtualization.into()),
            ("user".into(), facts.user.into()),
            ("time_error_ms".into(), facts.time_error_ms.into()),
            ("time_offset_ms".into(), facts.time_offset_ms.map_or(Dynamic::UNIT, Dynamic::from)),
        ]))
    }
}
