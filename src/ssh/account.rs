//! The account on a host that we log in to: what sshd reads for it, and whether sshd would believe it.

use super::command::Probe;
use super::error::{Error, Kind};
use super::{PROBE_TIMEOUT, Shell};

/// An account on a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// Its name.
    pub user: String,
    /// Its number.
    pub uid: u32,
    /// Its home directory, as the password database has it.
    pub home: String,
    /// Whether sshd told its configuration; otherwise OpenSSH's defaults are assumed.
    pub sshd_asked: bool,
    /// Where sshd looks for keys: `AuthorizedKeysFile`, tokens expanded; empty for `none`.
    pub authorized_keys: Vec<String>,
    /// `PubkeyAuthentication`.
    pub takes_keys: bool,
    /// `StrictModes`.
    pub strict: bool,
    /// The host's own public keys, `type base64` each.
    pub host_keys: Vec<String>,
    /// Key pairs that work without a passphrase: file of the private half, and public line.
    pub keys: Vec<(String, String)>,
}

/// A file and the directories above it, up to the home directory or `/`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// As sshd_config names it, expanded.
    pub file: String,
    /// With all links followed.
    pub real: String,
    /// What exists of it, from the file upwards.
    pub steps: Vec<Step>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its path.
    pub path: String,
    /// Type and permission bits of stat(2).
    pub mode: u32,
    /// Its owner's number.
    pub uid: u32,
}

impl Chain {
    /// Whether the file itself is there.
    pub fn exists(&self) -> bool {
        self.steps.first().is_some_and(|step| step.path == self.real)
    }

    /// Whether the file is there and a regular one.
    pub fn is_regular(&self) -> bool {
        self.exists() && self.steps.first().is_some_and(|step| step.mode & 0o170_000 == 0o100_000)
    }

    /// The directory that the file is, or will be, in, and whether that is there.
    pub fn directory(&self) -> (&str, bool) {
        let dir = self.real.rsplit_once('/').map_or("/", |(dir, _)| if dir.is_empty() { "/" } else { dir });
        (dir, self.steps.iter().any(|step| step.path == dir))
    }

    /// Why sshd would ignore the file, with what to do; `None` when it would read it.
    /// The rules are those of `safe_path` in OpenSSH's misc.c.
    pub fn objection(&self, uid: u32) -> Option<(String, String)> {
        if self.exists() && !self.is_regular() {
            return Some((format!("{} is not a regular file", self.real), "move it away".to_owned()));
        }
        for step in &self.steps {
            let path = &step.path;
            if step.uid != 0 && step.uid != uid {
                let why = format!("{path} belongs to the user number {}", step.uid);
                return Some((
                    why,
                    format!("chown it to the account (number {uid}), if you know why it is so"),
                ));
            }
            if step.mode & 0o022 != 0 {
                let why =
                    format!("others than its owner may write to {path} (mode {:04o})", step.mode & 0o7777);
                return Some((why, format!("chmod go-w {path}")));
            }
        }
        None
    }
}

impl Account {
    /// Expands the tokens of `AuthorizedKeysFile` (sshd_config(5)).
    fn expand(&self, pattern: &str) -> String {
        let mut out = String::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match (c, c == '%') {
                (_, true) => match chars.next() {
                    Some('h') => out.push_str(&self.home),
                    Some('u') => out.push_str(&self.user),
                    Some('U') => out.push_str(&self.uid.to_string()),
                    Some('%') | None => out.push('%'),
                    Some(other) => out.extend(['%', other]),
                },
                (c, false) => out.push(c),
            }
        }
        if out.starts_with('/') { out } else { format!("{}/{out}", self.home) }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut account = Self { takes_keys: true, strict: true, ..Self::default() };
        let mut patterns = vec![".ssh/authorized_keys".to_owned()];
        let mut uid = None;
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            match key {
                "user" => value.clone_into(&mut account.user),
                "uid" => uid = value.parse().ok(),
                "home" => value.clone_into(&mut account.home),
                "sshd" => account.sshd_asked = true,
                "authorizedkeysfile" => {
                    patterns = value.split(' ').filter(|p| !p.is_empty()).map(str::to_owned).collect();
                }
                "pubkeyauthentication" => account.takes_keys = value != "no",
                "strictmodes" => account.strict = value != "no",
                "host_key" => account.host_keys.push(value.to_owned()),
                "key" => account
                    .keys
                    .extend(value.split_once(' ').map(|(file, line)| (file.to_owned(), line.to_owned()))),
                _ => {}
            }
        }
        account.uid = uid?;
        if account.user.is_empty() || !account.home.starts_with('/') {
            return None;
        }
        patterns.retain(|pattern| pattern != "none");
        account.authorized_keys = patterns.iter().map(|pattern| account.expand(pattern)).collect();
        Some(account)
    }
}

impl Shell {
    /// The account that we log in to.
    ///
    /// # Errors
    /// `probe_failed` when the host does not tell, and as [`Shell::run`].
    pub fn account(&self) -> Result<Account, Error> {
        let action = "asking for the account";
        let probe = Probe::script(include_str!("scripts/account.sh"), [""; 0]).timeout(PROBE_TIMEOUT);
        let output = self.probe(&probe)?;
        let fail = || Kind::Probe { action, status: output.status, said: output.error_text() };
        Account::parse(&output.text()).filter(|_| output.ok()).ok_or_else(|| self.error(fail()))
    }

    /// The way to each of the account's authorized_keys files.
    ///
    /// # Errors
    /// `probe_failed`, and as [`Shell::run`].
    pub fn chains(&self, account: &Account) -> Result<Vec<Chain>, Error> {
        let mut args = vec![account.home.clone()];
        args.extend(account.authorized_keys.iter().cloned());
        let output = self.probe(&Probe::script(include_str!("scripts/chain.sh"), args))?;
        if !output.ok() {
            let (action, status, said) = ("looking at authorized_keys", output.status, output.error_text());
            return Err(self.error(Kind::Probe { action, status, said }));
        }
        Ok(parse_chains(&output.text()))
    }
}

fn parse_chains(text: &str) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        match (key, chains.last_mut()) {
            ("file", _) => chains.push(Chain { file: value.to_owned(), ..Chain::default() }),
            ("real", Some(chain)) => value.clone_into(&mut chain.real),
            ("at", Some(chain)) => {
                let mut words = value.splitn(3, ' ');
                let mode = words.next().and_then(|word| u32::from_str_radix(word, 16).ok());
                let uid = words.next().and_then(|word| word.parse().ok());
                if let (Some(mode), Some(uid), Some(path)) = (mode, uid, words.next()) {
                    chain.steps.push(Step { path: path.to_owned(), mode, uid });
                }
            }
            _ => {}
        }
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sshd_says_is_understood_and_its_defaults_stand_in() {
        let text = "user=vm\nuid=1000\nhome=/home/vm\nsshd=yes\nauthorizedkeysfile=.ssh/a /etc/k/%u.%U-%%\n\
                    pubkeyauthentication=yes\nstrictmodes=no\nhost_key=ssh-ed25519 AAAA\n\
                    key=/home/vm/.ssh/id_rsa ssh-rsa AAAB vm@h\n";
        let account = Account::parse(text).unwrap();
        assert_eq!(account.authorized_keys, ["/home/vm/.ssh/a", "/etc/k/vm.1000-%"]);
        assert!(account.sshd_asked && account.takes_keys && !account.strict);
        assert_eq!(account.keys, [("/home/vm/.ssh/id_rsa".to_owned(), "ssh-rsa AAAB vm@h".to_owned())]);
        let account = Account::parse("user=root\nuid=0\nhome=/root\nsshd_said=no\n").unwrap();
        assert_eq!(account.authorized_keys, ["/root/.ssh/authorized_keys"]);
        assert!(!account.sshd_asked && account.takes_keys && account.strict);
        let none =
            Account::parse("user=root\nuid=0\nhome=/root\nsshd=yes\nauthorizedkeysfile=none\n").unwrap();
        assert!(none.authorized_keys.is_empty());
        assert_eq!(Account::parse("user=root\nhome=/root\n"), None);
    }

    fn chain(lines: &str) -> Chain {
        parse_chains(&format!("file=/root/.ssh/authorized_keys\nreal=/root/.ssh/authorized_keys\n{lines}"))
            .remove(0)
    }

    #[test]
    fn sshd_ignores_what_others_could_have_written() {
        let why = |lines: &str| chain(lines).objection(0).map(|(why, _)| why).unwrap_or_default();
        let file = "at=8180 0 /root/.ssh/authorized_keys\nat=41c0 0 /root/.ssh\n";
        assert_eq!(why(&format!("{file}at=41c0 0 /root\n")), "");
        assert!(why(&format!("{file}at=41ff 0 /root\n")).contains("write to /root (mode 0777)"));
        assert!(why("at=81b4 0 /root/.ssh/authorized_keys\n").contains("(mode 0664)"));
        assert!(why("at=8180 33 /root/.ssh/authorized_keys\n").contains("the user number 33"));
        assert!(why("at=41c0 0 /root/.ssh/authorized_keys\n").contains("not a regular file"));
        let missing = chain("at=41c0 0 /root\n");
        assert!(!missing.exists() && missing.directory() == ("/root/.ssh", false));
    }
}
