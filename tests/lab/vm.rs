//! The lab of real Debian nodes, for what namespaces cannot show: systemd, bonds, reboots, power cuts, NFS.
//!
//! ```no_run
//! let lab = VmLab::up(&[Node::new("h2-a"), Node::new("h2-b").netplan()]);
//! lab.snapshot("h2-a", "clean");
//! let mut setup = lab.kvmsh();
//! setup.args(["-c", r#"host("h2-a").run("true")"#]);
//! assert!(lab.run(setup, Duration::from_secs(60)).status.success());
//! lab.cable_down("h2-a", 1);
//! assert!(lab.exec("h2-a", &["ip", "-br", "link"]).contains("NO-CARRIER"));
//! lab.restore("h2-a", "clean");
//! ```
//!
//! Everything is done by the program `tests/lab/vm`; see the README.md beside it. The lab ends when its [`VmLab`] is
//! dropped, and also when the test process is killed. Nodes that were up in an earlier lab come up in seconds. Labs wait
//! for each other when the processors would have too many nodes at a time.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use super::{Child, Lab, Output, program, succeed};

/// A node to be brought up: a Debian server with two NICs, `enp2s0` with an address and `enp3s0` without.
#[derive(Clone, Debug)]
pub struct Node {
    spec: String,
    load: usize,
}

impl Node {
    /// As the article has it: ifupdown, libvirt and all its tools; 512 MiB, which is enough unless guests run on it.
    pub fn new(name: &str) -> Node {
        Node { spec: name.to_owned(), load: 1 }
    }

    /// The same, but netplan and systemd-networkd own its network.
    pub fn netplan(self) -> Node {
        self.option("variant=netplan")
    }

    /// A fresh server: no libvirt, bridge, bond or NFS tools, but a local package repository that has them.
    pub fn bare(self) -> Node {
        self.option("variant=bare")
    }

    /// A bare node whose network belongs to NetworkManager.
    pub fn network_manager(self) -> Node {
        self.option("variant=nm")
    }

    /// Memory in MiB.
    pub fn memory(mut self, mib: u32) -> Node {
        if mib >= WITH_GUESTS {
            self.load = 2;
        }
        self.option(&format!("mem={mib}"))
    }

    /// Its CPU in QEMU's spelling: "qemu64", "max,-avx2".
    pub fn cpu(self, model: &str) -> Node {
        self.option(&format!("cpu={model}"))
    }

    /// The lab's key is not known to it yet; root logs in with [`VmLab::password`].
    pub fn password(self) -> Node {
        self.option("password=yes")
    }

    fn option(mut self, option: &str) -> Node {
        self.spec.push(':');
        self.spec.push_str(option);
        self
    }
}

/// How busy the nodes of all labs keep the processors.
static LOAD: Mutex<usize> = Mutex::new(0);
static LESS: Condvar = Condvar::new();

/// Who is first in the queue for them: a large lab is not overtaken by small ones for ever.
static FIRST: Mutex<()> = Mutex::new(());

/// Memory in MiB with which guests run inside a node: emulation in emulation.
const WITH_GUESTS: u32 = 1024;

/// A lab's share of the processors.
struct Share(usize);

impl Share {
    /// Waits until there is room for so much more: three nodes on two processors. A lab that needs more than all runs alone.
    fn take(load: usize) -> Share {
        fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
            mutex.lock().unwrap_or_else(PoisonError::into_inner)
        }
        let most = available_parallelism().map_or(1, usize::from) * 3 / 2;
        let _first = lock(&FIRST);
        let others = LESS.wait_while(lock(&LOAD), |others| *others > 0 && *others + load > most);
        *others.unwrap_or_else(PoisonError::into_inner) += load;
        Share(load)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *LOAD.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        LESS.notify_all();
    }
}

/// Some nodes and a controller, on two switches that are joined.
pub struct VmLab {
    lab: Lab,
    /// Given back after the lab has ended.
    _share: Share,
}

impl VmLab {
    /// Brings up these nodes, at 10.88.0.11 and up in this order, and waits until their SSH servers answer.
    pub fn up(nodes: &[Node]) -> VmLab {
        VmLab::start(nodes, None)
    }

    /// The same with one more node, on which an NFS server runs that exports nothing yet.
    pub fn up_with_nas(nodes: &[Node], nas: &Node) -> VmLab {
        VmLab::start(nodes, Some(nas))
    }

    fn start(nodes: &[Node], nas: Option<&Node>) -> VmLab {
        let share = Share::take(nodes.iter().chain(nas).map(|node| node.load).sum());
        let lab = Lab::new("vm");
        let mut up = lab.up_command();
        for node in nodes {
            up.args(["--node", &node.spec]);
        }
        if let Some(nas) = nas {
            up.args(["--nas", &nas.spec]);
        }
        succeed(up);
        VmLab { lab, _share: share }
    }

    /// The lab's directory, with `hosts.toml`, `known_hosts`, `id_ed25519`, and `hosts/NAME/console.log` for each node.
    pub fn dir(&self) -> &Path {
        self.lab.dir()
    }

    /// A directory for the test's own files, which goes with the lab.
    pub fn scratch(&self) -> &Path {
        self.lab.scratch()
    }

    /// Root's password on all nodes; only those with [`Node::password`] take it over SSH.
    pub fn root_password(&self) -> String {
        super::read(&self.dir().join("password")).trim_end().to_owned()
    }

    /// kvmsh on the controller; see [`Lab::kvmsh`].
    pub fn kvmsh(&self) -> Command {
        self.lab.kvmsh()
    }

    /// Any other program on the controller; see [`Lab::controller`].
    pub fn controller(&self, program: impl AsRef<OsStr>) -> Command {
        self.lab.controller(program)
    }

    /// Runs `command` to its end, or kills it after `limit`.
    pub fn run(&self, command: Command, limit: Duration) -> Output {
        self.lab.run(command, limit)
    }

    /// Starts `command`; its output goes to files, so that nobody has to read along.
    pub fn spawn(&self, command: Command) -> Child {
        self.lab.spawn(command)
    }

    /// What a command prints that runs on `node` as root, not over its network; the command has to succeed.
    pub fn exec(&self, node: &str, command: &[&str]) -> String {
        let mut exec = self.on_node(node, command[0]);
        exec.args(&command[1..]);
        succeed(exec)
    }

    /// What a shell script prints that runs on `node` as root, not over its network; the script has to succeed.
    pub fn shell(&self, node: &str, script: &str) -> String {
        self.exec(node, &["bash", "-euc", script])
    }

    /// A command to be run on `node` as root, not over its network; for [`VmLab::run`] and [`VmLab::spawn`].
    pub fn on_node(&self, node: &str, program_there: impl AsRef<OsStr>) -> Command {
        let mut exec = program("vm", "exec");
        exec.arg(self.dir()).arg(node).arg(program_there).stdin(Stdio::null());
        exec
    }

    /// Pulls the cable of NIC 1 (enp2s0) or 2 (enp3s0).
    pub fn cable_down(&self, node: &str, nic: u8) {
        self.lab.tool("cable", &[node, &nic.to_string(), "down"]);
    }

    /// Puts that cable back.
    pub fn cable_up(&self, node: &str, nic: u8) {
        self.lab.tool("cable", &[node, &nic.to_string(), "up"]);
    }

    /// Cuts the power: what the node has not flushed to its disk is lost.
    pub fn kill(&self, node: &str) {
        self.lab.tool("kill", &[node]);
    }

    /// Gives the power back and waits until the node runs programs. Its network may come later: see
    /// [`VmLab::wait_ssh`].
    pub fn boot(&self, node: &str) {
        self.lab.tool("boot", &[node]);
    }

    /// Reboots the node in an orderly way and waits as [`VmLab::boot`] does.
    pub fn reboot(&self, node: &str) {
        self.lab.tool("reboot", &[node]);
    }

    /// Keeps memory and disk of the running node under a name; takes half a second.
    pub fn snapshot(&self, node: &str, tag: &str) {
        self.lab.tool("snapshot", &[node, tag]);
    }

    /// Sets the running node back to what it was, with all cables plugged in and the right time; takes a second.
    pub fn restore(&self, node: &str, tag: &str) {
        self.lab.tool("restore", &[node, tag]);
    }

    /// Waits until the node's SSH server greets the controller.
    pub fn wait_ssh(&self, node: &str) {
        self.lab.tool("wait", &[node, "ssh"]);
    }

    /// What the node has written on its serial console since it was first started.
    pub fn console(&self, node: &str) -> String {
        self.lab.tool("console", &[node])
    }
}
