//! A storage pool of any type, as a person describes it.

use super::{Class, Fault, suggest::did_you_mean};

/// What a pool is made of. What a type does not know is left out; [`PoolSpec::check`] says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolSpec {
    /// Name.
    pub name: String,
    /// `dir`, `netfs`, …: one of [`TYPES`].
    pub kind: String,
    /// Where its volumes appear on the host.
    pub path: Option<String>,
    /// Where it comes from, each as `NAME` or `NAME:PORT`.
    pub servers: Vec<String>,
    /// What is taken there: the exported directory, the volume group, the iSCSI target, the device, ….
    pub source: Option<String>,
    /// The directory within a gluster volume.
    pub dir: Option<String>,
    /// The disks that a volume group or zpool is made of.
    pub devices: Vec<String>,
    /// The file system, the kind of partition table, ….
    pub format: Option<String>,
    /// The protocol's version, of NFS.
    pub version: Option<String>,
    /// The name that an iSCSI server knows us by.
    pub initiator: Option<String>,
    /// Account and secret.
    pub auth: Option<PoolAuth>,
    /// World-wide names of a Fibre Channel port: node and port.
    pub fc_host: Option<(String, String)>,
    /// Permissions of the directory.
    pub mode: Option<u32>,
    /// Owner of the directory and of new volumes by number; −1 leaves it alone.
    pub owner: Option<i64>,
    /// Group, likewise.
    pub group: Option<i64>,
}

/// Who may use it. The secret itself is libvirt's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolAuth {
    /// The account.
    pub user: String,
    /// The usage name of a libvirt secret.
    pub secret: String,
}

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// A key of Ceph's.
    Ceph,
    /// A password of CHAP.
    Iscsi,
}

impl SecretKind {
    /// libvirt's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ceph => "ceph",
            Self::Iscsi => "iscsi",
        }
    }
}

/// A secret that libvirt keeps; its value is nobody's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSecret {
    /// The name that pools use it by.
    pub usage: String,
    /// What it is for: `ceph`, `iscsi`, `tls`, …
    pub kind: String,
    /// UUID.
    pub uuid: String,
}

/// A type: what it must have, what it may have beside that, its formats, and where its volumes appear.
#[derive(Debug)]
pub struct PoolType {
    /// Name.
    pub name: &'static str,
    needs: &'static [&'static str],
    may: &'static [&'static str],
    formats: &'static [&'static str],
    /// The path where none is given.
    pub path: Option<&'static str>,
}

const OWNED: &[&str] = &["mode", "owner", "group"];

const fn of(
    name: &'static str,
    needs: &'static [&'static str],
    may: &'static [&'static str],
    formats: &'static [&'static str],
    path: Option<&'static str>,
) -> PoolType {
    PoolType { name, needs, may, formats, path }
}

/// All types of libvirt 9 (docs/formatstorage.rst; src/conf/storage_conf.c: `poolTypeInfo`).
pub const TYPES: &[PoolType] = &[
    of("dir", &["path"], &[], &[], None),
    of(
        "fs",
        &["source", "path"],
        &["format"],
        &[
            "auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf", "gfs", "gfs2", "vfat", "hfs+", "xfs",
            "ocfs2", "vmfs",
        ],
        None,
    ),
    of(
        "netfs",
        &["server", "source", "path"],
        &["format", "version"],
        &["auto", "nfs", "glusterfs", "cifs"],
        None,
    ),
    of("logical", &["source"], &["path", "devices", "format"], &["lvm2"], None),
    of(
        "disk",
        &["source"],
        &["path", "format"],
        &["dos", "dvh", "gpt", "mac", "bsd", "pc98", "sun", "lvm2"],
        Some("/dev"),
    ),
    of("iscsi", &["server", "source"], &["path", "initiator", "auth"], &[], Some("/dev/disk/by-path")),
    of("iscsi-direct", &["server", "source", "initiator"], &["auth"], &[], None),
    of("scsi", &[], &["source", "fc_host", "path"], &[], Some("/dev/disk/by-path")),
    of("mpath", &[], &["path"], &[], Some("/dev/mapper")),
    of("rbd", &["server", "source"], &["auth"], &[], None),
    of("gluster", &["server", "source"], &["dir"], &[], None),
    of("zfs", &["source"], &["devices"], &[], None),
    of("vstorage", &["source", "path"], &[], &[], None),
];

/// Refused, and nothing was made.
fn refuse(message: String) -> Fault {
    Fault::new("invalid_pool", message).class(Class::Refused)
}

/// A name that can stand for a file.
///
/// # Errors
/// `invalid_name`, which says what is wrong with it.
pub fn file_name(what: &str, name: &str) -> Result<(), Fault> {
    let wrong = match name {
        "" => "is empty",
        "." | ".." => "stands for a directory",
        _ if name.contains('/') => "has a slash in it",
        _ if name.chars().any(char::is_control) => "has a control character in it",
        _ if name.len() > 255 => "is longer than 255 bytes",
        _ => return Ok(()),
    };
    Err(Fault::new("invalid_name", format!("the name of a {what} cannot be {name:?}: it {wrong}"))
        .class(Class::Refused))
}

impl PoolSpec {
    /// The type, if there is one of that name.
    pub fn of_type(&self) -> Option<&'static PoolType> {
        TYPES.iter().find(|one| one.name == self.kind)
    }

    /// What is said about it, by the names of the options.
    fn said(&self) -> Vec<&'static str> {
        let said = [
            ("path", self.path.is_some()),
            ("server", !self.servers.is_empty()),
            ("source", self.source.is_some()),
            ("dir", self.dir.is_some()),
            ("devices", !self.devices.is_empty()),
            ("format", self.format.is_some()),
            ("version", self.version.is_some()),
            ("initiator", self.initiator.is_some()),
            ("auth", self.auth.is_some()),
            ("fc_host", self.fc_host.is_some()),
            ("mode", self.mode.is_some()),
            ("owner", self.owner.is_some()),
            ("group", self.group.is_some()),
        ];
        said.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }

    /// Checks it, and fills in what goes without saying.
    ///
    /// # Errors
    /// `invalid_pool`, `invalid_name`: what is missing, what does not belong there, what cannot be.
    pub fn check(mut self) -> Result<Self, Fault> {
        file_name("pool", &self.name)?;
        let Some(kind) = self.of_type() else {
            let names = TYPES.iter().map(|one| one.name);
            let fault = refuse(format!("there is no pool type {:?}", self.kind));
            let all = names.clone().collect::<Vec<_>>().join(", ");
            return Err(fault.hint(did_you_mean(&self.kind, names).unwrap_or(format!("it is one of {all}"))));
        };
        let named = format!("a pool of type {}", kind.name);
        if kind.path.is_some() && self.path.is_none() {
            self.path = kind.path.map(ToOwned::to_owned);
        }
        if kind.name == "logical" && self.path.is_none() {
            self.path = self.source.as_ref().map(|group| format!("/dev/{group}"));
        }
        if kind.name == "netfs" && self.format.is_none() {
            self.format = Some("nfs".to_owned());
        }
        let said = self.said();
        if let Some(missing) = kind.needs.iter().find(|need| !said.contains(need)) {
            return Err(refuse(format!("{named} needs `{missing}`"))
                .hint(format!("it takes {}", [kind.needs, kind.may, OWNED].concat().join(", "))));
        }
        if kind.name == "scsi" && self.source.is_some() == self.fc_host.is_some() {
            return Err(refuse(format!(
                "{named} needs either `source`, an adapter such as \"scsi_host1\", or `fc_host`"
            )));
        }
        let takes = |name: &str| [kind.needs, kind.may, OWNED].iter().any(|some| some.contains(&name));
        if let Some(strange) = said.iter().find(|name| !takes(name)) {
            return Err(refuse(format!("{named} has no `{strange}`")));
        }
        self.check_values(kind, &named)?;
        // To libvirt as well −1 is what is not said.
        self.owner = self.owner.filter(|id| *id >= 0);
        self.group = self.group.filter(|id| *id >= 0);
        Ok(self)
    }

    fn check_values(&self, kind: &PoolType, named: &str) -> Result<(), Fault> {
        let exported =
            self.source.as_ref().filter(|_| kind.name == "netfs" && self.format.as_deref() != Some("cifs"));
        for (what, path) in [("path", self.path.as_ref()), ("source", exported), ("dir", self.dir.as_ref())] {
            let Some(path) = path else { continue };
            if !path.starts_with('/')
                || path.split('/').any(|part| part == "..")
                || path.chars().any(char::is_control)
            {
                return Err(refuse(format!(
                    "{named}: `{what}` is a path from the root without `..`, not {path:?}"
                )));
            }
        }
        if let Some(format) = self.format.as_ref().filter(|format| !kind.formats.contains(&format.as_str())) {
            let fault = refuse(format!("{named} has no format {format:?}"));
            let near = did_you_mean(format, kind.formats.iter().copied());
            return Err(
                fault.hint(near.unwrap_or_else(|| format!("it is one of {}", kind.formats.join(", "))))
            );
        }
        // libvirt 9 hands any text on to mount, which then fails on each host by itself.
        let known = ["3", "4", "4.0", "4.1", "4.2"];
        if let Some(version) = self.version.as_ref().filter(|version| !known.contains(&version.as_str())) {
            return Err(refuse(format!("{version:?} is no version of NFS"))
                .hint(format!("it is one of {}", known.join(", "))));
        }
        if kind.name != "rbd" && self.servers.len() > 1 {
            return Err(refuse(format!("{named} has one server, not {}", self.servers.len())));
        }
        for server in &self.servers {
            let (name, port) = server_and_port(server);
            if name.is_empty()
                || name.contains(['/', ' '])
                || port.is_some_and(|port| port.parse::<u16>().is_err())
            {
                return Err(refuse(format!("{server:?} is no server")).hint(
                    "a name or an address, with a port as in \"ceph1:6789\" or \"[2001:db8::1]:6789\"",
                ));
            }
        }
        if self.mode.is_some_and(|mode| mode > 0o7777) {
            return Err(refuse(format!("{named}: `mode` is at most 0o7777")));
        }
        for (what, id) in [("owner", self.owner), ("group", self.group)] {
            if id.is_some_and(|id| !(-1..=i64::from(u32::MAX)).contains(&id)) {
                return Err(refuse(format!("{named}: `{what}` is a number, or -1 to leave it alone")));
            }
        }
        Ok(())
    }
}

/// A server's name and port; the brackets around an IPv6 address are not part of it.
pub fn server_and_port(server: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match server.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (server, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(kind: &str) -> PoolSpec {
        PoolSpec { name: "p".into(), kind: kind.into(), path: Some("/srv/p".into()), ..PoolSpec::default() }
    }

    #[track_caller]
    fn refused(spec: PoolSpec, message: &str) {
        assert_eq!(spec.check().unwrap_err().message, message);
    }

    #[test]
    fn each_mistake_is_named() {
        refused(pool("nfs"), "there is no pool type \"nfs\"");
        refused(pool("netfs"), "a pool of type netfs needs `server`");
        refused(PoolSpec { source: Some("x".into()), ..pool("dir") }, "a pool of type dir has no `source`");
        refused(
            PoolSpec { name: "a/b".into(), ..pool("dir") },
            "the name of a pool cannot be \"a/b\": it has a slash in it",
        );
        let path = Some("srv/../p".to_owned());
        refused(
            PoolSpec { path, ..pool("dir") },
            "a pool of type dir: `path` is a path from the root without `..`, not \"srv/../p\"",
        );
        let netfs = PoolSpec { servers: vec!["nas".into()], source: Some("/srv".into()), ..pool("netfs") };
        refused(PoolSpec { version: Some("v4.2".into()), ..netfs.clone() }, "\"v4.2\" is no version of NFS");
        refused(
            PoolSpec { format: Some("smb".into()), ..netfs.clone() },
            "a pool of type netfs has no format \"smb\"",
        );
        refused(
            PoolSpec { servers: vec!["nas:99999".into()], ..netfs.clone() },
            "\"nas:99999\" is no server",
        );
        assert_eq!(netfs.check().unwrap().format.as_deref(), Some("nfs"));
    }

    #[test]
    fn a_server_may_have_a_port_and_be_an_ipv6_address() {
        assert_eq!(server_and_port("nas"), ("nas", None));
        assert_eq!(server_and_port("ceph1:6789"), ("ceph1", Some("6789")));
        assert_eq!(server_and_port("2001:db8::1"), ("2001:db8::1", None));
        assert_eq!(server_and_port("[2001:db8::1]:6789"), ("2001:db8::1", Some("6789")));
    }
}
