//! The ssh_config that our sessions and libvirt's transport share.
//!
//! OpenSSH itself resolves it (`ssh -G`), with Match, Include and tokens: what the
//! inventory says stands first, because the first value wins in ssh_config.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::Command;
use super::error::Kind;
use super::limit::Limit;
use super::{local, runtime_dir};
use crate::model::{Cancel, Target};

/// `ssh -G` may run the user's own `Match exec` commands.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// The wrapper that libvirt starts in place of `ssh`.
///
/// It lives in kvmsh's process group, so a Ctrl-C at the terminal reaches it too
/// and would cut the very connection over which kvmsh then aborts a migration.
/// Ignored signals stay ignored in ssh; it ends when libvirt closes its pipe.
const WRAPPER: &str = "#!/bin/sh\ntrap '' HUP INT QUIT TERM\nexec ssh -F \"${0%/*}/config\" \"$@\"\n";

/// What OpenSSH makes of a host's entry and `~/.ssh/config`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SshConfig {
    /// The name that OpenSSH was asked for: the address in the inventory, or a jump host.
    pub alias: String,
    /// Where the connection goes.
    pub hostname: String,
    /// The user there.
    pub user: String,
    /// The port there.
    pub port: u16,
    /// The name under which the host key is known, if not `hostname`.
    pub host_key_alias: Option<String>,
    /// Private keys in the order they are tried.
    pub identity_files: Vec<PathBuf>,
    /// Certificates named apart from keys.
    pub certificate_files: Vec<PathBuf>,
    /// Offer only the keys named, even when the agent has more.
    pub identities_only: bool,
    /// The agent's socket, if not `$SSH_AUTH_SOCK`; `none` for no agent.
    pub identity_agent: Option<String>,
    /// The user's known_hosts files; new keys go to the first.
    pub user_known_hosts: Vec<PathBuf>,
    /// The system's known_hosts files.
    pub global_known_hosts: Vec<PathBuf>,
    /// Jump hosts, first hop first, as `[user@]host[:port]` or `ssh://…`.
    pub proxy_jump: Vec<String>,
    /// A command that connects, with its tokens, when there is no jump host.
    pub proxy_command: Option<String>,
    /// `any`, `inet` or `inet6`.
    pub address_family: String,
}

impl SshConfig {
    /// The name that known_hosts files hold: `host`, or `[host]:port` when the port is not 22.
    pub fn known_as(&self) -> String {
        match &self.host_key_alias {
            Some(alias) => alias.clone(),
            None if self.port == 22 => self.hostname.to_lowercase(),
            None => format!("[{}]:{}", self.hostname.to_lowercase(), self.port),
        }
    }

    /// For messages: `host:port`, with brackets around an IPv6 address.
    pub fn endpoint(&self) -> String {
        if self.hostname.contains(':') {
            format!("[{}]:{}", self.hostname, self.port)
        } else {
            format!("{}:{}", self.hostname, self.port)
        }
    }
}

/// One hop as it is asked for: a name, and what was said on top of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Hop {
    /// The name that ssh_config's `Host` matches.
    pub(super) alias: String,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    /// The hops before this one, when they were named beside it.
    pub(super) jumps: Vec<String>,
}

/// The ssh_config text for a target: its own block first, then the user's and the system's files.
///
/// # Errors
/// [`Kind::BadEntry`] for values that ssh_config could misread.
pub(super) fn text(target: &Target, connect: Duration, extra: Option<&Path>) -> Result<String, Kind> {
    let address = target.address.as_deref().unwrap_or("localhost");
    let mut text =
        format!("# Written by kvmsh, which names this directory after its contents.\nHost {}\n", {
            check("address", address, ":%")?
        });
    let mut line = |key: &str, value: &str| text.push_str(&format!("    {key} {value}\n"));
    if let Some(user) = &target.user {
        line("User", check("user", user, "@+")?);
    }
    if let Some(port) = target.port {
        line("Port", &port.to_string());
    }
    if let Some(identity) = &target.identity {
        line("IdentityFile", &path_value("identity", identity)?);
        line("IdentitiesOnly", "yes");
    }
    if let Some(jump) = &target.jump {
        line("ProxyJump", check("jump", jump, ":%@+,[]/")?);
    }
    line("", "");
    text.push_str("Match all\n");
    let mut line = |key: &str, value: &str| text.push_str(&format!("    {key} {value}\n"));
    if let Some(file) = &target.known_hosts {
        line("UserKnownHostsFile", &path_value("known_hosts", file)?);
    }
    // Rounded up: ssh_config has whole seconds, and 0 would mean no limit.
    line("ConnectTimeout", &connect.as_secs().max(1).to_string());
    for (key, value) in [
        ("ServerAliveInterval", "5"),
        ("ServerAliveCountMax", "4"),
        ("BatchMode", "yes"),
        ("StrictHostKeyChecking", "yes"),
        // What a person has set up for logging in by hand would break a command's channel.
        ("RequestTTY", "no"),
        ("RemoteCommand", "none"),
        ("PermitLocalCommand", "no"),
        ("ClearAllForwardings", "yes"),
    ] {
        line(key, value);
    }
    if let Some(extra) = extra {
        line("Include", &path_value("extra_config", extra)?);
    }
    line("Include", "~/.ssh/config");
    line("Include", "/etc/ssh/ssh_config");
    Ok(text)
}

/// Letters, digits, `.`, `_`, `-` and the characters in `more`; no leading `-`.
fn check<'a>(field: &'static str, value: &'a str, more: &str) -> Result<&'a str, Kind> {
    let bad = |why| Err(Kind::BadEntry { field, value: value.escape_debug().to_string(), why });
    if value.is_empty() {
        return bad("it is empty");
    }
    if value.split([',', '@']).any(|part| part.starts_with('-')) {
        return bad("it begins with a minus sign");
    }
    if !value.chars().all(|c| c.is_alphanumeric() || "._-".contains(c) || more.contains(c)) {
        return bad("it holds a character that has a meaning of its own for ssh");
    }
    Ok(value)
}

/// A path in double quotes, with `%` doubled because ssh_config expands tokens.
fn path_value(field: &'static str, path: &Path) -> Result<String, Kind> {
    let bad = |why| Kind::BadEntry { field, value: path.to_string_lossy().escape_debug().to_string(), why };
    let text = path.to_str().ok_or_else(|| bad("it is not UTF-8"))?;
    if text.is_empty() {
        return Err(bad("it is empty"));
    }
    if text.contains(['"', '\\']) || text.contains("${") || text.chars().any(char::is_control) {
        return Err(bad("it holds a quote, a backslash, `${` or a control character"));
    }
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

/// Writes wrapper and config to the private directory and returns it.
pub(super) fn store(text: &str, runtime: Option<&Path>) -> Result<PathBuf, Kind> {
    let entries = [("config", text, 0o600), ("ssh", WRAPPER, 0o700)];
    let candidates = runtime.map_or_else(runtime_dir::candidates, |dir| vec![dir.to_owned()]);
    let mut last =
        Kind::RuntimeDir { path: "kvmsh".to_owned(), why: "there is no home directory".to_owned() };
    for base in candidates {
        match runtime_dir::keep(&base, &entries) {
            Ok(dir) => return Ok(dir),
            Err(kind) => last = kind,
        }
    }
    Err(last)
}

/// Asks `ssh -G` what this hop comes to.
pub(super) fn resolve(dir: &Path, hop: &Hop, cancel: &Cancel) -> Result<SshConfig, Kind> {
    let mut argv = vec!["ssh".to_owned(), "-F".to_owned(), dir.join("config").to_string_lossy().into_owned()];
    argv.push("-G".to_owned());
    if let Some(user) = &hop.user {
        argv.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(port) = hop.port {
        argv.extend(["-p".to_owned(), port.to_string()]);
    }
    if !hop.jumps.is_empty() {
        argv.extend(["-J".to_owned(), hop.jumps.join(",")]);
    }
    argv.extend(["--".to_owned(), hop.alias.clone()]);
    let command = Command::argv(argv).timeout(Some(RESOLVE_TIMEOUT));
    let output = local::output(&command, &Limit::new(cancel, Some(RESOLVE_TIMEOUT)))?;
    if !output.ok() {
        return Err(Kind::Config { said: output.error_text() });
    }
    parse(&hop.alias, &String::from_utf8_lossy(&output.stdout))
}

/// Reads what `ssh -G` printed.
fn parse(alias: &str, text: &str) -> Result<SshConfig, Kind> {
    let mut config = SshConfig { alias: alias.to_owned(), ..SshConfig::default() };
    let mut identities = Vec::new();
    let mut certificates = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(' ') else { continue };
        let set = || Some(value.to_owned()).filter(|v| v != "none");
        match key {
            "hostname" => value.clone_into(&mut config.hostname),
            "user" => value.clone_into(&mut config.user),
            "port" => config.port = value.parse().unwrap_or(0),
            "hostkeyalias" => config.host_key_alias = set(),
            "identitiesonly" => config.identities_only = value == "yes",
            "identityagent" => config.identity_agent = Some(value.to_owned()),
            "identityfile" => identities.extend(set()),
            "certificatefile" => certificates.extend(set()),
            "userknownhostsfile" => config.user_known_hosts = files(value),
            "globalknownhostsfile" => config.global_known_hosts = files(value),
            "proxyjump" => {
                config.proxy_jump =
                    set().map(|v| v.split(',').map(str::to_owned).collect()).unwrap_or_default();
            }
            "proxycommand" => config.proxy_command = set(),
            "addressfamily" => value.clone_into(&mut config.address_family),
            _ => {}
        }
    }
    if config.hostname.is_empty() || config.user.is_empty() || config.port == 0 {
        return Err(Kind::Config { said: "no hostname, user or port in the answer".to_owned() });
    }
    let expand = |path: &String| PathBuf::from(expand(path, &config));
    let (identity_files, certificate_files) =
        (identities.iter().map(expand).collect(), certificates.iter().map(expand).collect());
    Ok(SshConfig { identity_files, certificate_files, ..config })
}

/// `ssh -G` prints a list of files without quotes: a list that is one existing file is that file.
fn files(value: &str) -> Vec<PathBuf> {
    if value == "none" {
        return Vec::new();
    }
    let whole = Path::new(value);
    if whole.exists() {
        return vec![whole.to_owned()];
    }
    value.split(' ').filter(|part| !part.is_empty()).map(PathBuf::from).collect()
}

/// Expands `~` and the tokens of ssh_config(5), which `ssh -G` leaves in key paths and commands.
pub(super) fn expand(text: &str, config: &SshConfig) -> String {
    let me = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    let home = me.as_ref().map_or_else(String::new, |me| me.dir.to_string_lossy().into_owned());
    let text = match text.strip_prefix("~/") {
        Some(rest) => format!("{home}/{rest}"),
        None => text.to_owned(),
    };
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') | None => out.push('%'),
            Some('d') => out.push_str(&home),
            Some('h') => out.push_str(&config.hostname),
            Some('i') => out.push_str(&nix::unistd::getuid().to_string()),
            Some('n') => out.push_str(&config.alias),
            Some('p') => out.push_str(&config.port.to_string()),
            Some('r') => out.push_str(&config.user),
            Some('u') => out.push_str(me.as_ref().map_or("", |me| &me.name)),
            Some(other) => out.extend(['%', other]),
        }
    }
    out
}

/// Takes `[user@]host[:port]` or `ssh://[user@]host[:port]` apart.
pub(super) fn parse_hop(text: &str) -> Hop {
    let rest = text.trim().strip_prefix("ssh://").unwrap_or(text.trim()).trim_end_matches('/');
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, rest),
    };
    let (host, port) = match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        // More than one colon without brackets is an IPv6 address.
        None => match rest.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (rest, None),
        },
    };
    Hop { alias: host.to_owned(), user, port: port.and_then(|p| p.parse().ok()), jumps: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Duration = Duration::from_secs(5);

    fn full() -> Target {
        Target {
            user: Some("root".into()),
            port: Some(2222),
            identity: Some("/keys/50% off/id".into()),
            known_hosts: Some("/etc/kvmsh/known hosts".into()),
            jump: Some("ops@gw:2200,inner".into()),
            ..Target::ssh("h2-a", "10.0.0.1")
        }
    }

    #[test]
    fn the_inventory_stands_first_and_only_for_its_own_host() {
        let text = text(&full(), FIVE, Some(Path::new("/x/extra"))).unwrap();
        let (own, common) = text.split_once("Match all").unwrap();
        for line in [
            "Host 10.0.0.1\n",
            "User root\n",
            "Port 2222\n",
            "IdentityFile \"/keys/50%% off/id\"\n",
            "IdentitiesOnly yes\n",
            "ProxyJump ops@gw:2200,inner\n",
        ] {
            assert!(own.contains(line), "{line} not in {own}");
        }
        assert!(common.contains("UserKnownHostsFile \"/etc/kvmsh/known hosts\"\n"));
        assert!(common.contains("StrictHostKeyChecking yes\n") && common.contains("BatchMode yes\n"));
        let (extra, user) = (common.find("/x/extra").unwrap(), common.find("~/.ssh/config").unwrap());
        assert!(extra < user);
    }

    #[test]
    fn values_that_could_be_read_as_something_else_are_refused() {
        let bad = |change: fn(&mut Target)| {
            let mut target = full();
            change(&mut target);
            text(&target, FIVE, None).unwrap_err().code()
        };
        for change in [
            (|t| t.address = Some("a\nProxyCommand evil".into())) as fn(&mut Target),
            |t| t.address = Some("*".into()),
            |t| t.address = Some("-oProxyCommand=evil".into()),
            |t| t.address = Some(String::new()),
            |t| t.user = Some("root\" evil".into()),
            |t| t.user = Some("$(id)".into()),
            |t| t.jump = Some("gw;evil".into()),
            |t| t.jump = Some("gw,-oX".into()),
            |t| t.identity = Some("/k\"\nProxyCommand evil".into()),
            |t| t.known_hosts = Some("/k/${HOME}".into()),
        ] {
            assert_eq!(bad(change), "bad_host_entry");
        }
    }

    #[test]
    fn what_ssh_prints_is_understood() {
        let text = "host h2-a\nuser root\nhostname 10.0.0.1\nport 2222\nidentitiesonly yes\n\
            identityfile /k/%r-%h%%\nproxyjump a,b@c:33\nuserknownhostsfile /no/a /no/b\nglobalknownhostsfile none\n\
            identityagent none\nhostkeyalias none\nproxycommand none\naddressfamily inet\n";
        let config = parse("h2-a", text).unwrap();
        assert_eq!(
            (config.known_as().as_str(), config.endpoint().as_str()),
            ("[10.0.0.1]:2222", "10.0.0.1:2222")
        );
        assert_eq!(config.identity_files, [PathBuf::from("/k/root-10.0.0.1%")]);
        assert_eq!(config.proxy_jump, ["a", "b@c:33"]);
        assert_eq!(config.user_known_hosts, [PathBuf::from("/no/a"), PathBuf::from("/no/b")]);
        assert!(config.global_known_hosts.is_empty() && config.identities_only);
        assert_eq!((config.identity_agent.as_deref(), config.proxy_command), (Some("none"), None));
        assert_eq!(parse("x", "user root\n").unwrap_err().code(), "ssh_config");
    }

    #[test]
    fn hops_are_taken_apart_as_openssh_does() {
        let hop = |text| {
            let hop = parse_hop(text);
            (hop.user.unwrap_or_default(), hop.alias, hop.port)
        };
        assert_eq!(hop("gw"), (String::new(), "gw".into(), None));
        assert_eq!(hop("a@b@gw:22"), ("a@b".into(), "gw".into(), Some(22)));
        assert_eq!(hop("ssh://a@[fe80::1]:2222/"), ("a".into(), "fe80::1".into(), Some(2222)));
        assert_eq!(hop("fe80::1"), (String::new(), "fe80::1".into(), None));
    }
}
