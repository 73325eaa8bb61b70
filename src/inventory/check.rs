//! What a value in the inventory may look like.
//!
//! Names, addresses and users end up as arguments of ssh, in URIs and in file
//! names: what could be taken for an option or splits a URI is refused here.

use std::path::{Component, Path, PathBuf};

use crate::model::secret;

/// Whether this can be a host's, a group's or a tag's name.
pub fn host_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A host name, an alias of `~/.ssh/config` or an IP address, with or without brackets.
pub(super) fn address(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the address is empty".to_owned());
    }
    if text.contains('@') {
        return Err(format!("`{text}` is no address: write the user in `user`"));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    // A zone such as fe80::1%br0 may follow an IPv6 address.
    let ipv6 = bare.split('%').next().is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
    if text.contains(':') && !ipv6 {
        return Err(format!("`{text}` is no address: write the port in `port`"));
    }
    plain(text, "an address")
}

/// A user's name on the host.
pub(super) fn user(text: &str) -> Result<(), String> {
    if text.contains([':', '@']) {
        return Err(format!("`{text}` is no user name"));
    }
    plain(text, "a user name")
}

/// `[user@]host[:port]`, several with commas, as OpenSSH's ProxyJump.
pub(super) fn jump(text: &str) -> Result<(), String> {
    text.split(',').try_for_each(|hop| plain(hop, "a jump host ([user@]host[:port])"))
}

/// A libvirt URI: `driver[+transport]://[user@][host][:port]/path[?parameters]`.
pub(super) fn uri(text: &str) -> Result<Remote, String> {
    let bad = |why: &str| format!("`{}` is no libvirt URI: {why}", secret::urls(text));
    if secret::urls(text) != text {
        return Err(bad("it has a password, which neither SSH nor libvirt takes from there"));
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(bad("it contains a space or a control character"));
    }
    let (scheme, rest) =
        text.split_once("://").ok_or_else(|| bad("write for instance qemu+ssh://root@h2-a/system"))?;
    let scheme_ok =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !scheme.split('+').all(scheme_ok) || scheme.split('+').count() > 2 {
        return Err(bad("what stands before :// has to be a driver, or driver+transport"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() {
        return Ok(Remote::default());
    }
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, authority),
    };
    let (host, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => {
            (name, Some(port.parse().ok().filter(|&port| port > 0).ok_or_else(|| bad("its port is none"))?))
        }
        _ => (host, None),
    };
    address(host).map_err(|why| bad(&why))?;
    if let Some(name) = &user {
        self::user(name).map_err(|why| bad(&why))?;
    }
    Ok(Remote { host: Some(host.to_owned()), user, port })
}

/// Where a libvirt URI leads; no host: this machine.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) host: Option<String>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
}

/// A directory that the admin vouches for: absolute, without `.`, `..` and double slashes.
pub(super) fn shared(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(format!("`{text}` has to be an absolute path"));
    }
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => return Err(format!("`{text}` must not contain `..`")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if clean == Path::new("/") {
        return Err("`/` cannot be the same storage on all hosts: name the directory".to_owned());
    }
    Ok(clean)
}

/// `~/` is the home directory; what is not absolute is beside the inventory.
pub(super) fn file(text: &str, beside: &Path) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("the path is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("a path cannot contain a NUL character".to_owned());
    }
    if text == "~" || text.starts_with("~/") {
        let home = dirs::home_dir().ok_or("`~/` needs a home directory, and $HOME is not set")?;
        return Ok(home.join(text.trim_start_matches('~').trim_start_matches('/')));
    }
    if text.starts_with('~') {
        return Err(format!("`{text}`: only `~/` is understood, not other users' homes"));
    }
    Ok(beside.join(text))
}

fn plain(text: &str, what: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what} must not be empty"));
    }
    if text.starts_with('-') {
        return Err(format!("`{text}` is not {what}: ssh would take it for an option"));
    }
    if text.contains(|c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(
                c,
                '/' | '\\' | '\'' | '"' | '`' | '$' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '#' | '?'
            )
    }) {
        return Err(format!("`{text}` is not {what}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_names_and_ips_and_nothing_that_ssh_takes_for_an_option() {
        for good in ["h2-a", "h2-a.example.org", "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "fe80::1%br0"] {
            assert_eq!(address(good), Ok(()), "{good}");
        }
        for bad in ["", " ", "-oProxyCommand=x", "root@h", "h:22", "a b", "a/b", "a;b", "a\x1b"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn uris_are_local_or_lead_somewhere() {
        for local in
            ["qemu:///system", "test:///default", "test:///tmp/x.xml", "qemu+unix:///session?socket=/x"]
        {
            assert_eq!(uri(local), Ok(Remote::default()), "{local}");
        }
        let remote = uri("qemu+ssh://root@[2001:db8::1]:2222/system?keyfile=/k").unwrap();
        assert_eq!(
            (remote.host.as_deref(), remote.user.as_deref(), remote.port),
            (Some("[2001:db8::1]"), Some("root"), Some(2222))
        );
        for bad in [
            "",
            "qemu",
            "qemu:/system",
            "://x",
            "qemu+a+b://x/",
            "qemu://h:x/",
            "qemu ://h/",
            "qemu+ssh://-oX/",
        ] {
            assert!(uri(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shared_directories_are_normalised_and_never_everything() {
        assert_eq!(shared("/srv//vm/./x/"), Ok(PathBuf::from("/srv/vm/x")));
        for bad in ["srv", "/srv/../etc", "/", ""] {
            assert!(shared(bad).is_err(), "{bad}");
        }
    }
}
