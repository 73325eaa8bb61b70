//! Real sshd processes on 127.0.0.1, and the keys to get in.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kvmsh::model::Target;
use kvmsh::ssh::{Settings, Shell};
use tempfile::TempDir;

/// The passphrase of the encrypted keys.
pub(crate) const PASSPHRASE: &str = "open sesame";

/// Key pairs made once and kept in the build directory: `ed25519`, `rsa`, `ecdsa`, their `-pem`
/// and `-locked` forms, `stranger` (let in nowhere), and a `ca`.
pub(crate) struct Keys(PathBuf);

impl Keys {
    pub(crate) fn get() -> &'static Self {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        KEYS.get_or_init(|| {
            let keys = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join("ssh-keys"));
            let done = keys.path("done");
            fs::create_dir_all(&keys.0).unwrap();
            // Another test process may be making them.
            let lock = fs::File::create(keys.path("lock")).unwrap();
            lock.lock().unwrap();
            if done.exists() {
                return keys;
            }
            // Left by a run that was killed: ssh-keygen would ask whether to overwrite them.
            for entry in fs::read_dir(&keys.0).unwrap().flatten().filter(|e| e.file_name() != "lock") {
                fs::remove_file(entry.path()).unwrap();
            }
            for (name, args) in [
                ("ed25519", &["-t", "ed25519", "-N", ""][..]),
                ("rsa", &["-t", "rsa", "-b", "2048", "-N", ""]),
                ("ecdsa", &["-t", "ecdsa", "-N", ""]),
                ("rsa-pem", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""]),
                ("ecdsa-pem", &["-t", "ecdsa", "-m", "PEM", "-N", ""]),
                ("ed25519-locked", &["-t", "ed25519", "-N", PASSPHRASE]),
                ("rsa-locked", &["-t", "rsa", "-b", "2048", "-N", PASSPHRASE]),
                ("rsa-pem-locked", &["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", PASSPHRASE]),
                ("ecdsa-locked", &["-t", "ecdsa", "-N", PASSPHRASE]),
                ("stranger", &["-t", "ed25519", "-N", ""]),
                ("stranger-locked", &["-t", "ed25519", "-N", PASSPHRASE]),
                ("certified", &["-t", "ed25519", "-N", ""]),
                ("ca", &["-t", "ed25519", "-N", ""]),
            ] {
                keygen(args, &keys.path(name));
            }
            run(
                "ssh-keygen",
                &["-q", "-s"],
                &[&keys.path("ca")],
                &["-I", "id", "-n", "root"],
                &[&keys.path("certified.pub")],
            );
            fs::write(done, "").unwrap();
            keys
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn public(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }
}

fn run(program: &str, a: &[&str], b: &[&Path], c: &[&str], d: &[&Path]) {
    let output = Command::new(program).args(a).args(b).args(c).args(d).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a key pair.
pub(crate) fn keygen(args: &[&str], path: &Path) {
    run("ssh-keygen", &["-q", "-C", "test", "-f"], &[path], args, &[]);
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running sshd; killed with all its sessions when dropped.
pub(crate) struct Sshd {
    pub(crate) dir: TempDir,
    pub(crate) port: u16,
    child: Child,
}

impl Sshd {
    /// With an ed25519 host key that the client knows.
    pub(crate) fn start() -> Self {
        Self::with(&["ed25519"], "", &[])
    }

    /// With host keys of these types, more lines of configuration, and a
    /// program in front (`unshare …`).
    pub(crate) fn with(host_keys: &[&str], extra: &str, prefix: &[&str]) -> Self {
        Self::configured(host_keys, "", extra, prefix)
    }

    /// The same, with lines that count before the usual ones: sshd takes what it reads first.
    pub(crate) fn with_first(host_keys: &[&str], first: &str, prefix: &[&str]) -> Self {
        Self::configured(host_keys, first, "", prefix)
    }

    fn configured(host_keys: &[&str], first: &str, extra: &str, prefix: &[&str]) -> Self {
        let program = "/usr/sbin/sshd";
        assert!(Path::new(program).exists(), "these tests need sshd: apt-get install openssh-server");
        // Where sshd keeps its privilege separation; systemd makes it otherwise.
        fs::create_dir_all("/run/sshd").unwrap();
        let keys = Keys::get();
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        // Another home: this machine's ~/.bashrc, which bash reads under sshd, is no part of the test.
        let mut config = format!(
            "{first}Port {port}\nListenAddress 127.0.0.1\nUsePAM no\nStrictModes no\nPidFile none\n\
             PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             LogLevel ERROR\nAuthorizedKeysFile {0}/authorized_keys\nTrustedUserCAKeys {1}\n\
             SetEnv HOME={0}\n{extra}\n",
            dir.path().display(),
            keys.path("ca.pub").display(),
        );
        let mut known = String::new();
        for kind in host_keys {
            let path = dir.path().join(format!("host_{kind}"));
            keygen(&["-t", kind, "-N", ""], &path);
            config += &format!("HostKey {}\n", path.display());
            let public = fs::read_to_string(path.with_extension("pub")).unwrap();
            known += &format!("[127.0.0.1]:{port} {public}");
        }
        let authorized: String = [
            "ed25519",
            "rsa",
            "ecdsa",
            "rsa-pem",
            "ecdsa-pem",
            "ed25519-locked",
            "rsa-locked",
            "rsa-pem-locked",
            "ecdsa-locked",
        ]
        .iter()
        .map(|name| keys.public(name))
        .collect();
        fs::write(dir.path().join("authorized_keys"), authorized).unwrap();
        fs::write(dir.path().join("known_hosts"), known).unwrap();
        fs::write(dir.path().join("config"), config).unwrap();
        fs::create_dir(dir.path().join("run")).unwrap();
        fs::set_permissions(dir.path().join("run"), fs::Permissions::from_mode(0o700)).unwrap();
        // It ends with the thread that started it, also when that is killed.
        let mut argv: Vec<String> = ["setpriv", "--pdeathsig", "KILL"].map(str::to_owned).into();
        argv.extend(prefix.iter().map(|s| (*s).to_owned()));
        argv.extend([program, "-D", "-e", "-f"].map(str::to_owned));
        argv.push(dir.path().join("config").display().to_string());
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut child = Command::new(&argv[0])
            .args(&argv[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "sshd did not start: {}", log());
            assert!(Instant::now() < until, "sshd does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { dir, port, child }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A target that logs in with this key.
    pub(crate) fn target(&self, key: &str) -> Target {
        Target {
            user: Some("root".into()),
            port: Some(self.port),
            identity: Some(Keys::get().path(key)),
            known_hosts: Some(self.path("known_hosts")),
            ..Target::ssh("h2-a", "127.0.0.1")
        }
    }

    /// Settings with a directory of its own for generated files.
    pub(crate) fn settings(&self) -> Settings {
        Settings { runtime_dir: Some(self.path("run")), ..Settings::default() }
    }

    pub(crate) fn shell(&self) -> Shell {
        Shell::new(self.target("ed25519"), self.settings())
    }

    /// An ssh_config file for [`Settings::extra_config`].
    pub(crate) fn extra_config(&self, text: &str) -> PathBuf {
        let path = self.path("extra");
        fs::write(&path, text).unwrap();
        path
    }

    /// The processes of sessions that are open now.
    pub(crate) fn sessions(&self) -> Vec<u32> {
        let mut found = Vec::new();
        let mut parents = vec![self.child.id()];
        while let Some(parent) = parents.pop() {
            let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
            for child in children.unwrap_or_default().split_whitespace().filter_map(|p| p.parse().ok()) {
                let name = fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
                if name.trim() == "sshd" {
                    found.push(child);
                    parents.push(child);
                }
            }
        }
        found
    }

    /// Sends a signal to the processes of all open sessions.
    pub(crate) fn signal_sessions(&self, signal: &str) {
        for pid in self.sessions() {
            let _ = Command::new("kill")
                .args([format!("-{signal}"), pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }

    /// Ends sshd and all its sessions.
    pub(crate) fn stop(&mut self) {
        self.signal_sessions("KILL");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}
