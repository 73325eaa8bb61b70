//! Adds and removes hosts without touching the rest of the file: comments,
//! order and spelling are the admin's.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use toml_edit::{Document, DocumentMut, Item, Table, TableLike, value};

use super::{check, parse, read_trusted};
use crate::model::{Class, Diagnosis, Fault, suggest};

/// What `hosts add` knows of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewHost {
    /// The name people use.
    pub name: String,
    /// Where SSH goes; brackets around an IPv6 address are gone. `None` where the URI leads to this machine.
    pub address: Option<String>,
    /// The SSH user, when it was given.
    pub user: Option<String>,
    /// The SSH port, when it was given.
    pub port: Option<u16>,
    /// The libvirt URI, when one was given in place of an address.
    pub uri: Option<String>,
}

impl NewHost {
    /// Takes `[user@]address[:port]`, or a libvirt URI, apart.
    ///
    /// # Errors
    /// `usage` when the name or the address cannot be one.
    pub fn from_arguments(name: &str, address: &str) -> Result<Self, Fault> {
        let usage = |message: String| {
            Fault::new("usage", message)
                .class(Class::Usage)
                .hint("kvmsh hosts add NAME [user@]ADDRESS[:port], or a libvirt URI: kvmsh hosts add play test:///default")
        };
        if !check::host_name(name) {
            return Err(usage(format!(
                "`{name}` is no name for a host: use letters, digits, `-`, `_` and `.`, and begin with a letter or digit"
            )));
        }
        if address.contains("://") {
            let check::Remote { host, user, port } = check::uri(address).map_err(usage)?;
            let uri = Some(address.to_owned());
            return Ok(Self { name: name.to_owned(), address: host, user, port, uri });
        }
        let (user, rest) = match address.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, address),
        };
        let number = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|&port| port > 0)
                .ok_or_else(|| usage(format!("`{text}` is no port: a port is a number from 1 to 65535")))
        };
        let (bare, port) = if let Some(inner) = rest.strip_prefix('[') {
            match inner.split_once(']') {
                Some((bare, "")) => (bare, None),
                Some((bare, tail)) => (bare, Some(number(tail.strip_prefix(':').unwrap_or(tail))?)),
                None => return Err(usage(format!("`{rest}` has a `[` and no `]`"))),
            }
        } else if rest.matches(':').count() == 1 {
            let (bare, port) = rest.split_once(':').unwrap_or((rest, ""));
            (bare, Some(number(port)?))
        } else {
            (rest, None)
        };
        check::address(bare).map_err(usage)?;
        user.as_deref().map_or(Ok(()), check::user).map_err(usage)?;
        Ok(Self { name: name.to_owned(), address: Some(bare.to_owned()), user, port, uri: None })
    }
}

/// Edits one inventory file.
#[derive(Debug)]
pub struct Editor {
    path: PathBuf,
    text: String,
}

impl Editor {
    /// Reads the file; one that does not exist is empty and made by the first change.
    ///
    /// # Errors
    /// `inventory` when it cannot be read or has a mistake: what is not
    /// understood is not edited.
    pub fn open(path: &Path) -> Result<Self, Diagnosis> {
        // A link to a file under version control stays a link.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let text = read_trusted(&path)?.unwrap_or_default();
        parse(&path, &text)?;
        Ok(Self { path, text })
    }

    /// Whether the file has a host of this name.
    pub fn contains(&self, name: &str) -> bool {
        parse(&self.path, &self.text).is_ok_and(|inventory| inventory.hosts.contains_key(name))
    }

    /// The fault that adding a host would end with, if its name is taken.
    ///
    /// # Errors
    /// `host_exists`, of the class Usage.
    pub fn check_new(&self, name: &str) -> Result<(), Fault> {
        if self.contains(name) {
            return Err(Fault::new("host_exists", format!("{name} is already in {}", self.path.display()))
                .class(Class::Usage)
                .hint(format!("choose another name, or first: kvmsh hosts remove {name}")));
        }
        Ok(())
    }

    /// Adds a host and writes the file.
    ///
    /// # Errors
    /// `host_exists`, or `inventory` when the file cannot be written.
    pub fn add(&mut self, host: &NewHost) -> Result<(), Diagnosis> {
        self.check_new(&host.name)?;
        let text = added(&self.text, host).map_err(|cause| self.fail("edit", cause))?;
        self.replace(text)
    }

    /// Removes a host, also from the groups that name it, and writes the file.
    /// Returns those groups.
    ///
    /// # Errors
    /// `unknown_host`, or `inventory` when the file cannot be written.
    pub fn remove(&mut self, name: &str) -> Result<Vec<String>, Diagnosis> {
        let inventory = parse(&self.path, &self.text)?;
        if !inventory.hosts.contains_key(name) {
            let fault = Fault::new("unknown_host", format!("{name} is not in {}", self.path.display()));
            let hint = suggest::did_you_mean(name, inventory.hosts.keys().map(String::as_str));
            let hint = hint.unwrap_or_else(|| "see: kvmsh hosts list".to_owned());
            return Err(fault.class(Class::Usage).hint(hint).into());
        }
        let (text, groups) = removed(&self.text, name).map_err(|cause| self.fail("edit", cause))?;
        self.replace(text)?;
        Ok(groups)
    }

    fn replace(&mut self, text: String) -> Result<(), Diagnosis> {
        parse(&self.path, &text)?;
        write_atomically(&self.path, &text).map_err(|e| self.fail("write", e.to_string()))?;
        self.text = text;
        Ok(())
    }

    fn fail(&self, what: &str, cause: String) -> Fault {
        Fault::new("inventory", format!("cannot {what} the inventory {}", self.path.display())).because(cause)
    }
}

fn added(text: &str, host: &NewHost) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.message().to_owned())?;
    let mut entry = Table::new();
    if let Some(uri) = &host.uri {
        // It says the rest as well.
        entry.insert("uri", value(uri));
    } else {
        entry.insert("address", value(host.address.as_deref().unwrap_or_default()));
        if let Some(user) = &host.user {
            entry.insert("user", value(user));
        }
        if let Some(port) = host.port {
            entry.insert("port", value(i64::from(port)));
        }
    }
    if !document.contains_key("hosts") {
        let mut hosts = Table::new();
        hosts.set_implicit(true);
        document.insert("hosts", Item::Table(hosts));
    }
    let hosts = document.get_mut("hosts").and_then(Item::as_table_like_mut).ok_or("`hosts` is no table")?;
    if hosts.is_empty() || hosts.iter().any(|(_, item)| item.is_table()) {
        if !text.trim().is_empty() {
            entry.decor_mut().set_prefix("\n");
        }
        hosts.insert(&host.name, Item::Table(entry));
    } else {
        // The admin writes `name = { … }`: so do we.
        hosts.insert(&host.name, value(entry.into_inline_table()));
    }
    Ok(document.to_string())
}

fn removed(text: &str, name: &str) -> Result<(String, Vec<String>), String> {
    let parsed = Document::parse(text).map_err(|e| e.message().to_owned())?;
    let section = parsed
        .as_table()
        .get("hosts")
        .and_then(|hosts| hosts.get(name))
        .and_then(Item::as_table)
        .filter(|table| !table.is_dotted())
        .and_then(section);
    // A section is cut out as text: toml_edit would take the comments before it
    // along, though they may be about the whole file.
    let text = match section {
        Some(span) => without_section(text, span),
        None => text.to_owned(),
    };
    let mut document: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| e.message().to_owned())?;
    if let Some(hosts) = document.get_mut("hosts").and_then(Item::as_table_like_mut) {
        hosts.remove(name);
    }
    let mut groups = Vec::new();
    if let Some(table) = document.get_mut("groups").and_then(Item::as_table_like_mut) {
        leave_groups(table, name, &mut groups);
    }
    Ok((document.to_string(), groups))
}

/// From the header to the last value; toml_edit's own span is the header alone.
fn section(table: &Table) -> Option<std::ops::Range<usize>> {
    let header = table.span()?;
    let end = table.iter().filter_map(|(_, item)| item.span()).map(|span| span.end).max();
    Some(header.start..end.unwrap_or(header.end).max(header.end))
}

fn leave_groups(table: &mut dyn TableLike, name: &str, groups: &mut Vec<String>) {
    for (group, members) in table.iter_mut() {
        let Some(members) = members.as_array_mut() else { continue };
        let before = members.len();
        members.retain(|member| member.as_str() != Some(name));
        if members.len() < before {
            groups.push(group.to_string());
        }
    }
}

/// Cuts out the section and the comment lines right above it.
fn without_section(text: &str, span: std::ops::Range<usize>) -> String {
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let mut start = line_start(span.start);
    while start > 0 {
        let above = line_start(start - 1);
        if !text[above..start].trim_start().starts_with('#') {
            break;
        }
        start = above;
    }
    // What follows the last value: a comment on its line, its newline, blank lines.
    let mut end = text[span.end..].find('\n').map_or(text.len(), |newline| span.end + newline + 1);
    while text[end..].starts_with('\n') {
        end += 1;
    }
    let (head, tail) = (&text[..start], &text[end..]);
    if tail.is_empty() {
        format!("{}\n", head.trim_end()).trim_start().to_owned()
    } else {
        format!("{head}{tail}")
    }
}

/// Whole and old, or whole and new, whatever happens in between; never readable by others while new.
fn write_atomically(path: &Path, text: &str) -> std::io::Result<()> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let old = std::fs::metadata(path).ok();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!(".{name}.{}", uuid::Uuid::new_v4().simple()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        if let Some(old) = &old {
            // Ownership first: it clears mode bits. Only root can give a file away.
            let _ = std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()));
            file.set_permissions(std::fs::Permissions::from_mode(old.mode() & 0o777))?;
        }
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(dir)?.sync_all()
    };
    write().inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    const FILE: &str = "# Our hosts.\n# Ask Ops before a change.\n\n# rack 1\n[hosts.h2-a]\naddress   = 'h2-a' # front\ntags = ['ssd']\n\n\
                        # rack 2\n[hosts.h2-b]\naddress = 'h2-b'\n\n[groups]\npair = [ 'h2-a', 'h2-b' ] # both\n";

    fn new(name: &str, address: &str) -> NewHost {
        NewHost::from_arguments(name, address).unwrap()
    }

    #[test]
    fn a_host_is_added_and_the_rest_of_the_file_stays() {
        let text = added(FILE, &new("h2-c", "admin@192.0.2.3:2222")).unwrap();
        assert_snapshot!(text, @r#"
        # Our hosts.
        # Ask Ops before a change.

        # rack 1
        [hosts.h2-a]
        address   = 'h2-a' # front
        tags = ['ssd']

        # rack 2
        [hosts.h2-b]
        address = 'h2-b'

        [hosts.h2-c]
        address = "192.0.2.3"
        user = "admin"
        port = 2222

        [groups]
        pair = [ 'h2-a', 'h2-b' ] # both
        "#);
        assert_snapshot!(added("", &new("a", "b")).unwrap(), @r#"
        [hosts.a]
        address = "b"
        "#);
        assert_snapshot!(added("[hosts]\na = { address = 'a' } # first\n", &new("b", "::1")).unwrap(), @r#"
        [hosts]
        a = { address = 'a' } # first
        b = { address = "::1" }
        "#);
    }

    #[test]
    fn a_host_leaves_with_its_own_comment_and_its_groups() {
        let (text, groups) = removed(FILE, "h2-a").unwrap();
        assert_eq!(groups, ["pair"]);
        assert_snapshot!(text, @"
        # Our hosts.
        # Ask Ops before a change.

        # rack 2
        [hosts.h2-b]
        address = 'h2-b'

        [groups]
        pair = [ 'h2-b' ] # both
        ");
        let (text, _) =
            removed("# all\n[hosts]\na = { address = 'a' } # first\nb = {address='b'}\n", "a").unwrap();
        assert_snapshot!(text, @"
        # all
        [hosts]
        b = {address='b'}
        ");
        assert_eq!(removed("[hosts.a]\naddress = 'a'\n", "a").unwrap().0.trim(), "");
    }

    #[test]
    fn the_file_is_made_private_and_keeps_the_mode_it_had() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kvmsh/hosts.toml");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        Editor::open(&path).unwrap().add(&new("a", "b")).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let mut editor = Editor::open(&path).unwrap();
        editor.add(&new("c", "d")).unwrap();
        assert_eq!(mode(&path), 0o640);
        assert_eq!(editor.add(&new("a", "x")).unwrap_err().fault.code, "host_exists");
        editor.remove("a").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[hosts.c]\naddress = \"d\"\n");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn addresses_are_taken_apart() {
        let host = new("a", "root@[2001:db8::1]:22");
        assert_eq!(
            (host.address.as_deref(), host.user.as_deref(), host.port),
            (Some("2001:db8::1"), Some("root"), Some(22))
        );
        assert_eq!(new("a", "2001:db8::1").address.as_deref(), Some("2001:db8::1"));
        let host = new("a", "qemu+ssh://root@h:2222/system");
        assert_eq!((host.address.as_deref(), host.user.as_deref()), (Some("h"), Some("root")));
        assert_eq!(added("", &host).unwrap(), "[hosts.a]\nuri = \"qemu+ssh://root@h:2222/system\"\n");
        let host = new("a", "test:///default");
        assert_eq!((host.address.as_deref(), host.uri.as_deref()), (None, Some("test:///default")));
        for (name, address) in [
            ("a", ""),
            ("a", "h:0"),
            ("a", "h:x"),
            ("a", "[::1"),
            ("-a", "h"),
            ("a", "-oX"),
            ("a", "a:b@h"),
            ("a", "://x"),
            ("a", "qemu+ssh://-oX/"),
            ("*", "h"),
        ] {
            assert!(NewHost::from_arguments(name, address).is_err(), "{name} {address}");
        }
    }
}
