//! Every option there is, once: functions read them by these tables, `help()`
//! shows them, and the prompt completes them.

/// What an option holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::script) enum Holds {
    /// `true` or `false`.
    Flag,
    /// A text.
    Text,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// A whole number, 0 or more.
    Count,
    /// A number of seconds.
    Seconds,
    /// Bytes, or a text such as `"4GiB"`.
    Size,
    /// Something else; the explanation says what.
    Value,
}

impl Holds {
    /// In a word or two.
    pub(in crate::script) fn word(self) -> String {
        match self {
            Self::Flag => "bool".into(),
            Self::Text => "text".into(),
            Self::Word(words) => {
                words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" or ")
            }
            Self::Count => "number".into(),
            Self::Seconds => "seconds".into(),
            Self::Size => "size".into(),
            Self::Value => String::new(),
        }
    }
}

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::script) struct Key {
    /// Its name.
    pub(in crate::script) name: &'static str,
    /// What it holds.
    pub(in crate::script) holds: Holds,
    /// What holds where it is missing, as a script would write it; empty where there is nothing to say.
    pub(in crate::script) standard: &'static str,
    /// What it does, in a phrase.
    pub(in crate::script) doc: &'static str,
}

/// The options of one function.
#[derive(Debug)]
pub(in crate::script) struct Keys {
    /// The object that the function belongs to; empty for a free one.
    pub(in crate::script) object: &'static str,
    /// Its name.
    pub(in crate::script) function: &'static str,
    /// The options.
    pub(in crate::script) keys: &'static [Key],
}

const fn key(name: &'static str, holds: Holds, standard: &'static str, doc: &'static str) -> Key {
    Key { name, holds, standard, doc }
}

const fn flag(name: &'static str, doc: &'static str) -> Key {
    key(name, Holds::Flag, "false", doc)
}

const fn keys(object: &'static str, function: &'static str, keys: &'static [Key]) -> Keys {
    Keys { object, function, keys }
}

/// The words for a domain's state that a filter takes.
const STATES: &[&str] = &["running", "idle", "paused", "in shutdown", "shut off", "crashed", "pmsuspended"];

const EVENTS: &[&str] = &[
    "defined",
    "undefined",
    "started",
    "suspended",
    "resumed",
    "stopped",
    "shutdown",
    "pmsuspended",
    "crashed",
];

const BANDWIDTH: Key =
    key("bandwidth", Holds::Size, "", "at most so much per second and guest, for instance \"100MiB\"");
const AUTO_CONVERGE: Key = flag("auto_converge", "slow the guest down if it writes faster than is sent");
const POST_COPY: Key = flag("post_copy", "switch over first, and send the rest of the memory after");
const CONNECTIONS: Key = key("connections", Holds::Count, "1", "parallel connections (multifd)");
const COPY_STORAGE: Key = flag("copy_storage", "copy disks that are not on shared storage");
const MAX_DOWNTIME: Key =
    key("max_downtime_ms", Holds::Count, "300", "how long the guest may stand still, in milliseconds");
const KEEP_SOURCE: Key = flag("keep_source", "keep the definition on the source");
const TRANSIENT: Key = flag("transient", "do not define it on the target");
const TIMEOUT: Key = key("timeout", Holds::Seconds, "", "abort a move that takes longer");

pub(in crate::script) static MIGRATE: Keys = keys(
    "Domain",
    "migrate",
    &[
        BANDWIDTH,
        AUTO_CONVERGE,
        POST_COPY,
        CONNECTIONS,
        COPY_STORAGE,
        MAX_DOWNTIME,
        key("rename", Holds::Text, "", "its name on the target"),
        key("migrate_uri", Holds::Text, "", "where the target listens, for instance \"tcp://192.0.2.7\""),
        KEEP_SOURCE,
        TRANSIENT,
        TIMEOUT,
    ],
);

pub(in crate::script) static TRANSFER: Keys = keys(
    "",
    "transfer",
    &[
        key(
            "parallel",
            Holds::Count,
            "8",
            "guests at a time; left out, also at most 16 GiB of them under way",
        ),
        BANDWIDTH,
        AUTO_CONVERGE,
        POST_COPY,
        CONNECTIONS,
        COPY_STORAGE,
        MAX_DOWNTIME,
        KEEP_SOURCE,
        TRANSIENT,
        TIMEOUT,
    ],
);

pub(in crate::script) static PLACEMENT: Keys = keys("", "placement", &[COPY_STORAGE]);

pub(in crate::script) static CONNECT: Keys = keys(
    "",
    "connect",
    &[key(
        "migrations",
        Holds::Count,
        "0",
        "so many guests will soon move from the first of the hosts to the others at a time; what that needs is \
         opened in the background",
    )],
);

pub(in crate::script) static START: Keys =
    keys("Domain", "start", &[flag("paused", "its processors do not run yet"), FORCE]);

const FORCE: Key = flag("force", "also if it, or a machine with one of its disks, runs on another host");

pub(in crate::script) static DEFINE: Keys = keys("Host", "define", &[FORCE]);

pub(in crate::script) static DESTROY: Keys = keys(
    "Domain",
    "destroy",
    &[flag("graceful", "only if QEMU ends on SIGTERM, so that it can flush its caches")],
);

pub(in crate::script) static UNDEFINE: Keys = keys(
    "Domain",
    "undefine",
    &[
        flag("managed_save", "its saved memory image goes with it"),
        flag("snapshots", "the records of its snapshots go with it"),
        flag("nvram", "its UEFI variables go with it"),
    ],
);

pub(in crate::script) static SNAPSHOT: Keys = keys(
    "Domain",
    "snapshot",
    &[
        key("description", Holds::Text, "", "what it is for"),
        flag(
            "disk_only",
            "the disks alone, each going on in a new file; without, memory as well, inside the images",
        ),
        flag("quiesce", "the guest agent holds file systems still meanwhile; with disk_only"),
    ],
);

pub(in crate::script) static REVERT: Keys = keys(
    "Domain",
    "revert",
    &[
        flag("running", "it runs afterwards, whatever it was"),
        flag("paused", "it is paused afterwards"),
        flag("force", "also where the QEMU that runs has to be replaced"),
    ],
);

pub(in crate::script) static DELETE_SNAPSHOT: Keys =
    keys("Domain", "delete_snapshot", &[flag("children", "those that were made after it go as well")]);

pub(in crate::script) static DOMAINS: Keys = keys(
    "Host",
    "domains",
    &[
        key("state", Holds::Word(STATES), "", "a state in virsh's words"),
        key("name", Holds::Text, "", "a name or a glob"),
    ],
);

pub(in crate::script) static DEFINE_POOL: Keys = keys(
    "Host",
    "define_pool",
    &[
        key("name", Holds::Text, "", "its name; needed"),
        key(
            "type",
            Holds::Text,
            "\"dir\"",
            "dir, fs, netfs, logical, disk, iscsi, iscsi-direct, scsi, mpath, rbd, gluster, zfs or vstorage",
        ),
        key("path", Holds::Text, "", "where its volumes appear on the host"),
        key("server", Holds::Value, "", "where it comes from, with a port if need be; of rbd an array"),
        key(
            "source",
            Holds::Text,
            "",
            "what is taken: the exported directory, device, volume group, iSCSI target, ceph pool, gluster volume",
        ),
        key("dir", Holds::Text, "", "the directory within a gluster volume"),
        key(
            "devices",
            Holds::Value,
            "",
            "an array of the disks that build() makes a volume group or zpool of",
        ),
        key("format", Holds::Text, "", "the file system, or the kind of partition table; of netfs \"nfs\""),
        key("version", Holds::Text, "", "the version of NFS, for instance \"4.2\""),
        key("initiator", Holds::Text, "", "the name by which an iSCSI server knows the host"),
        key(
            "auth",
            Holds::Value,
            "",
            "#{user, secret, value}: the account, and the usage name of a libvirt secret",
        ),
        key("fc_host", Holds::Value, "", "#{wwnn, wwpn} of a Fibre Channel port"),
        key("mode", Holds::Count, "", "permissions of the directory, for instance 0o711"),
        key(
            "owner",
            Holds::Value,
            "",
            "number of the owner of directory and new volumes; -1 leaves it alone",
        ),
        key("group", Holds::Value, "", "number of the group, likewise"),
    ],
);

/// The secret of `define_pool`.
pub(in crate::script) static POOL_AUTH: Keys = keys(
    "auth",
    "define_pool",
    &[
        key("user", Holds::Text, "", "the account; needed"),
        key("secret", Holds::Text, "", "the usage name of a libvirt secret; needed"),
        key("value", Holds::Text, "", "the secret itself, which libvirt is to keep under that name"),
    ],
);

pub(in crate::script) static DEFINE_SECRET: Keys = keys(
    "Host",
    "define_secret",
    &[
        key("usage", Holds::Text, "", "the name that pools use it by; needed"),
        key("type", Holds::Word(&["ceph", "iscsi"]), "", "what it is for; needed"),
        key("value", Holds::Text, "", "the key in Base64, or the password; needed"),
    ],
);

/// The port of `define_pool`.
pub(in crate::script) static FC_HOST: Keys = keys(
    "fc_host",
    "define_pool",
    &[
        key("wwnn", Holds::Text, "", "world-wide name of the node; needed"),
        key("wwpn", Holds::Text, "", "world-wide name of the port; needed"),
    ],
);

pub(in crate::script) static DOMAIN_CAPABILITIES: Keys = keys(
    "Host",
    "domain_capabilities",
    &[
        key("emulator", Holds::Text, "", "the path of QEMU on the host"),
        key("arch", Holds::Text, "", "an architecture, for instance \"x86_64\""),
        key("machine", Holds::Text, "", "a machine type, for instance \"q35\""),
        key("type", Holds::Word(&["kvm", "qemu"]), "", "what runs the guest"),
    ],
);

const GUEST_KIND: &[Key] = &[
    key("type", Holds::Word(&["kvm", "qemu"]), "", "what runs the guest; KVM where the host has it"),
    key("machine", Holds::Text, "", "a machine type, for instance \"q35\""),
    key("emulator", Holds::Text, "", "the path of QEMU on the host"),
    key("arch", Holds::Text, "", "an architecture; the host's own"),
];

pub(in crate::script) static CPU_OFFER: Keys = keys("Cpu", "offer", GUEST_KIND);
pub(in crate::script) static CPU_USABLE: Keys = keys("Cpu", "usable", GUEST_KIND);
pub(in crate::script) static CPU_FIT: Keys = keys("Cpu", "fit", GUEST_KIND);
pub(in crate::script) static CPU_COMPARE: Keys = keys("Cpu", "compare", GUEST_KIND);
pub(in crate::script) static FIT_CPU: Keys = keys("", "fit_cpu", GUEST_KIND);
pub(in crate::script) static BASELINE_CPU: Keys = keys("", "baseline_cpu", GUEST_KIND);

pub(in crate::script) static HOST_EVENTS: Keys = keys(
    "Host",
    "events",
    &[
        key("domain", Holds::Text, "", "only of this domain: a name or a glob"),
        key("event", Holds::Word(EVENTS), "", "only this event"),
        key("timeout", Holds::Seconds, "", "ends after so long"),
    ],
);

pub(in crate::script) static EVENT_LINES: Keys = keys("", "events", HOST_EVENTS.keys);

pub(in crate::script) static TOP: Keys = keys(
    "",
    "top",
    &[
        key("every", Holds::Seconds, "2", "the pause between two readings; at least 0.1"),
        key("times", Holds::Count, "", "how many tables are written where no terminal is; without end"),
    ],
);

pub(in crate::script) static CONSOLE: Keys = keys(
    "Domain",
    "console",
    &[
        key("device", Holds::Text, "", "an alias such as \"serial1\"; the first console"),
        key("force", Holds::Flag, "false", "whoever has it open loses it"),
    ],
);

pub(in crate::script) static SCREENSHOT: Keys =
    keys("Domain", "screenshot", &[key("screen", Holds::Count, "0", "which of its screens, counted from 0")]);

pub(in crate::script) static CREATE_VOLUME: Keys = keys(
    "Pool",
    "create_volume",
    &[
        key("size", Holds::Size, "", "what the guest sees; needed, unless there is a backing file"),
        key("format", Holds::Word(&["qcow2", "raw"]), "\"qcow2\"", "the format of the image"),
        key("allocation", Holds::Size, "0", "what is taken at once"),
        key(
            "preallocation",
            Holds::Word(&["off", "metadata", "full"]),
            "\"off\"",
            "metadata: the tables of a qcow2 image; full: all of it",
        ),
        key(
            "backing",
            Holds::Text,
            "",
            "the image below, by its path on the host: the new one keeps what differs",
        ),
        key("backing_format", Holds::Text, "\"qcow2\"", "the format of the image below"),
        key("mode", Holds::Count, "0o600", "permissions"),
        key("owner", Holds::Count, "", "number of the owner; left out, the pool's"),
        key("group", Holds::Count, "", "number of the group, likewise"),
    ],
);

const RATE: Key = key("rate", Holds::Size, "", "at most so much per second, for instance \"50MiB\"");
const CHECKSUM: Key = flag("checksum", "read both ends again and compare them by SHA-256");

pub(in crate::script) static CLONE: Keys = keys(
    "Domain",
    "clone_to",
    &[
        key("on", Holds::Value, "", "its Host, or the name; left out, the same host"),
        key(
            "disks",
            Holds::Word(&["full", "linked", "reflink"]),
            "\"full\"",
            "full: copied; linked: on top of the original's, which must not be written to any more; reflink: copied, \
             sharing blocks",
        ),
        flag("start", "start it"),
    ],
);

pub(in crate::script) static CREATE: Keys = keys(
    "Host",
    "create",
    &[
        key("name", Holds::Text, "", "its name; needed"),
        key("memory", Holds::Size, "\"2GiB\"", "its memory; for Windows 4GiB"),
        key("vcpus", Holds::Count, "2", "virtual processors"),
        key("disks", Holds::Value, "", "an array of sizes, or of #{pool, size, image, volume}; needed"),
        key(
            "nics",
            Holds::Value,
            "[]",
            "an array of libvirt networks by name, or of #{network} or #{bridge}",
        ),
        key("pool", Holds::Text, "\"default\"", "the pool of disks that name none"),
        key("iso", Holds::Text, "", "an installer's image: its path on the host"),
        key("os", Holds::Text, "", "what it is to run, by osinfo's short id: \"debian12\", \"win11\""),
        key("drivers", Holds::Text, "", "an image with virtio drivers for Windows: its path on the host"),
        key("among", Holds::Value, "", "an array of hosts, or of names, that its CPU has to be the same on"),
        key(
            "cloud_init",
            Holds::Value,
            "",
            "what cloud-config holds, as a map; or the whole text of user-data",
        ),
        flag("uefi", "boot by UEFI"),
        key("cpu", Holds::Text, "", "a CPU model; left out, under KVM all of the host's that can migrate"),
        key("type", Holds::Word(&["kvm", "qemu"]), "", "left out, kvm where the host has it"),
        key("start", Holds::Flag, "true", "start it"),
    ],
);

/// A disk of `create`.
pub(in crate::script) static CREATE_DISK: Keys = keys(
    "disk",
    "create",
    &[
        key("pool", Holds::Text, "", "its pool; left out, that of the machine"),
        key("size", Holds::Size, "", "its size; with an image, what it grows to"),
        key("image", Holds::Text, "", "the volume that it begins as a copy of"),
        key("volume", Holds::Text, "", "the volume that it is"),
    ],
);

/// A network card of `create`.
pub(in crate::script) static CREATE_NIC: Keys = keys(
    "nic",
    "create",
    &[
        key("network", Holds::Text, "", "one of libvirt's networks"),
        key("bridge", Holds::Text, "", "a bridge of the host"),
    ],
);

pub(in crate::script) static POOL_UPLOAD: Keys = keys(
    "Pool",
    "upload",
    &[
        RATE,
        CHECKSUM,
        key("convert", Holds::Word(&["qcow2", "raw"]), "", "the format that it is to have there"),
    ],
);

pub(in crate::script) static VOLUME_UPLOAD: Keys = keys("Volume", "upload", &[RATE]);
pub(in crate::script) static VOLUME_DOWNLOAD: Keys = keys("Volume", "download", &[RATE, CHECKSUM]);

pub(in crate::script) static VOLUME_CLONE: Keys = keys(
    "Volume",
    "clone_to",
    &[
        key("pool", Holds::Value, "", "the Pool that it goes to, on whichever host; left out, its own"),
        key("format", Holds::Word(&["qcow2", "raw"]), "", "another format, on the same host"),
        flag("reflink", "share the blocks until they are written, where the file system can"),
        RATE,
    ],
);

pub(in crate::script) static RUN: Keys = keys(
    "Host",
    "run",
    &[
        key("stdin", Holds::Value, "", "a text or a blob that the command reads"),
        key("timeout", Holds::Seconds, "600", "stop it after so long"),
        flag("sudo", "run it as root"),
        key("check", Holds::Flag, "true", "a status other than 0 is an error"),
        key(
            "changes",
            Holds::Flag,
            "true",
            "with false you say that the command changes nothing, so it runs under --plan as well",
        ),
        key("note", Holds::Text, "", "what it is for, in plan and journal"),
        key(
            "passing",
            Holds::Flag,
            "false",
            "with true you say that nothing of it is left: it counts as no change",
        ),
    ],
);

const WRITE_KEYS: &[Key] = &[
    key("mode", Holds::Count, "", "permissions, for instance 0o600"),
    key("owner", Holds::Text, "", "\"user:group\""),
    flag("backup", "keep the file that was there beside it"),
];

pub(in crate::script) static WRITE: Keys = keys("Host", "write", WRITE_KEYS);
pub(in crate::script) static UPLOAD: Keys = keys("Host", "upload", WRITE_KEYS);

pub(in crate::script) static INTRODUCE: Keys = keys(
    "Host",
    "introduce",
    &[key("fingerprint", Holds::Text, "", "trust the key without asking if it has this one: \"SHA256:...\"")],
);

pub(in crate::script) static OWN_KEY: Keys = keys(
    "Host",
    "own_key",
    &[key("identity", Holds::Text, "", "the file of the private half; left out, the one that SSH would use")],
);

pub(in crate::script) static REACHES: Keys = keys(
    "Host",
    "reaches",
    &[
        key("user", Holds::Text, "\"root\"", "the account on the other host"),
        key("port", Holds::Count, "22", "the port of its SSH server"),
    ],
);

/// A host among those that `know` takes.
pub(in crate::script) static KNOW: Keys = keys(
    "acquaintance",
    "know",
    &[
        key("names", Holds::Value, "", "an array of its names and addresses; needed"),
        key("keys", Holds::Value, "", "an array of its host keys; needed"),
        key("port", Holds::Count, "22", "the port of its SSH server"),
    ],
);

pub(in crate::script) static DEFINE_NETWORK: Keys = keys(
    "Host",
    "define_network",
    &[
        key("name", Holds::Text, "", "its name; needed"),
        key("bridge", Holds::Text, "", "the bridge on the host that it stands for; needed"),
    ],
);

const LINK: &[Key] = &[
    key("confirm_within", Holds::Seconds, "90", "undone unless confirmed within so long, 10 to 900"),
    flag("force", "do also what is unlikely to work"),
];

pub(in crate::script) static SET_LINKS: Keys = keys("Host", "set_links", LINK);
pub(in crate::script) static REMOVE_LINKS: Keys = keys("Host", "remove_links", LINK);
pub(in crate::script) static NETWORK_TRANSACTION: Keys = keys("Host", "network_transaction", LINK);

const KIND: Key = key("kind", Holds::Word(&["bond", "bridge"]), "", "what it is; needed");
const NAME: Key = key("name", Holds::Text, "", "the name of the interface; needed");
const MTU: Key = key("mtu", Holds::Count, "", "the largest packet, in bytes");
const ADDRESS: Key = key(
    "address",
    Holds::Value,
    "",
    "\"192.0.2.11/24\", \"dhcp\", \"auto\" for IPv6 from a router, \"none\", or an array of these; left out, what \
     the ports have",
);
const GATEWAY: Key = key("gateway", Holds::Value, "", "the address of the router, or an array");
const NAMESERVERS: Key = key("nameservers", Holds::Value, "", "an array of addresses");

const BOND_MODES: &[&str] =
    &["active-backup", "802.3ad", "balance-rr", "balance-xor", "broadcast", "balance-tlb", "balance-alb"];

/// A bond among the links of `set_links`.
pub(in crate::script) static BOND: Keys = keys(
    "bond",
    "set_links",
    &[
        KIND,
        NAME,
        key("slaves", Holds::Value, "", "an array of the cards in it"),
        key("mode", Holds::Word(BOND_MODES), "", "how the cards share the work; needed"),
        key("miimon", Holds::Count, "100", "milliseconds between two looks at the cables"),
        key("primary", Holds::Text, "", "the card that is used while it works"),
        key("lacp_rate", Holds::Word(&["slow", "fast"]), "", "how often LACP packets are asked for"),
        key(
            "xmit_hash_policy",
            Holds::Word(&["layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4", "vlan+srcmac"]),
            "",
            "what decides which card a packet leaves by",
        ),
        MTU,
        ADDRESS,
        GATEWAY,
        NAMESERVERS,
    ],
);

/// A bridge among the links of `set_links`.
pub(in crate::script) static BRIDGE: Keys = keys(
    "bridge",
    "set_links",
    &[
        KIND,
        NAME,
        key("ports", Holds::Value, "", "an array of the interfaces in it"),
        key("vlan", Holds::Count, "", "the VLAN of its port"),
        flag("stp", "take part in the spanning tree"),
        key("forward_delay", Holds::Count, "0", "seconds until a new port forwards"),
        MTU,
        ADDRESS,
        GATEWAY,
        NAMESERVERS,
    ],
);

pub(in crate::script) static EXPECT: Keys = keys(
    "Transaction",
    "expect",
    &[
        key("address", Holds::Value, "", "\"192.0.2.11/24\" that must be there, or an array"),
        key("gateway", Holds::Value, "", "an address that must answer, or an array"),
        key("carrier", Holds::Value, "", "interfaces that must have a link"),
        key("makes", Holds::Value, "", "links that the change makes: deleted when it is undone"),
        key("gone", Holds::Value, "", "links that must not be there any more"),
    ],
);

pub(in crate::script) static FAIL: Keys = keys(
    "",
    "fail",
    &[
        key("code", Holds::Text, "", "a stable name in snake_case; left out, the kind"),
        key("message", Holds::Text, "", "what was tried, and what went wrong"),
        key("hint", Holds::Text, "", "what to do about it"),
        key("host", Holds::Text, "", "the host it happened on"),
        key("object", Holds::Text, "", "what it happened to, for instance \"domain web1\""),
    ],
);

pub(in crate::script) static PAR: Keys = keys(
    "",
    "par",
    &[
        key("parallel", Holds::Count, "64", "how many at a time"),
        key("stop_on_error", Holds::Flag, "false", "begin no further one after the first error"),
    ],
);

/// All of them. Options that are not here are known to nobody.
pub(in crate::script) static ALL: &[&Keys] = &[
    &MIGRATE,
    &TRANSFER,
    &PLACEMENT,
    &CONNECT,
    &START,
    &DEFINE,
    &DESTROY,
    &UNDEFINE,
    &SNAPSHOT,
    &REVERT,
    &DELETE_SNAPSHOT,
    &DOMAINS,
    &DEFINE_POOL,
    &POOL_AUTH,
    &DEFINE_SECRET,
    &FC_HOST,
    &DOMAIN_CAPABILITIES,
    &CPU_OFFER,
    &CPU_USABLE,
    &CPU_FIT,
    &CPU_COMPARE,
    &FIT_CPU,
    &BASELINE_CPU,
    &HOST_EVENTS,
    &EVENT_LINES,
    &TOP,
    &CONSOLE,
    &SCREENSHOT,
    &CREATE_VOLUME,
    &CLONE,
    &CREATE,
    &CREATE_DISK,
    &CREATE_NIC,
    &POOL_UPLOAD,
    &VOLUME_UPLOAD,
    &VOLUME_DOWNLOAD,
    &VOLUME_CLONE,
    &RUN,
    &WRITE,
    &UPLOAD,
    &FAIL,
    &PAR,
    &DEFINE_NETWORK,
    &INTRODUCE,
    &OWN_KEY,
    &REACHES,
    &KNOW,
    &SET_LINKS,
    &REMOVE_LINKS,
    &NETWORK_TRANSACTION,
    &BOND,
    &BRIDGE,
    &EXPECT,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_explained_once() {
        for keys in ALL {
            let mut names: Vec<&str> = keys.keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), keys.keys.len(), "{keys:?}");
            for key in keys.keys {
                assert!(key.doc.len() > 7 && !key.doc.ends_with('.'), "{keys:?}: {key:?}");
            }
        }
    }
}
