//! What a host is, in one round trip.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::command::Probe;
use super::error::{Error, Kind};
use super::{PROBE_TIMEOUT, Shell};

/// What a host is. Text that the host does not tell is empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// `debian`, `ubuntu`, `fedora`, …: `ID` of os-release(5).
    pub os_id: String,
    /// `12`, `24.04`: `VERSION_ID` of os-release(5).
    pub os_version: String,
    /// `Debian GNU/Linux 12 (bookworm)`: `PRETTY_NAME` of os-release(5).
    pub os_name: String,
    /// The kernel's release.
    pub kernel: String,
    /// The machine, as `uname -m` has it: `x86_64`.
    pub arch: String,
    /// The host's own name.
    pub hostname: String,
    /// machine-id(5); the same on clones that were not told apart.
    pub machine_id: String,
    /// Since the host was booted.
    pub uptime: Duration,
    /// The package manager: `apt-get`, `dnf`, `yum`, `zypper`, `pacman`, `apk`, or empty.
    pub package_manager: String,
    /// Whether /dev/kvm is there.
    pub kvm: bool,
    /// What the host itself runs on, as `systemd-detect-virt` has it: `none`, `kvm`, …, or empty.
    pub virtualization: String,
    /// The user that commands run as.
    pub user: String,
    /// That user's number; 0 is root.
    pub uid: Option<u32>,
    /// How far the host's clock is ahead of ours, in milliseconds.
    pub time_offset_ms: Option<i64>,
    /// How wrong that offset may be: half the round trip, in milliseconds.
    pub time_error_ms: i64,
}

impl Shell {
    /// Asks the host what it is.
    ///
    /// # Errors
    /// `probe_failed` when the host has no usable `sh`, and as [`Shell::run`].
    pub fn facts(&self) -> Result<Facts, Error> {
        // Opened before, so that the round trip holds no handshake.
        self.connect()?;
        let before = now_ms();
        let probe = Probe::script(include_str!("scripts/facts.sh"), [] as [&str; 0]).timeout(PROBE_TIMEOUT);
        let output = self.probe(&probe)?;
        let after = now_ms();
        if !output.ok() {
            let (action, status, said) = ("asking for facts", output.status, output.error_text());
            return Err(self.error(Kind::Probe { action, status, said }));
        }
        Ok(parse(&String::from_utf8_lossy(&output.stdout), before, after))
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn parse(text: &str, before: i64, after: i64) -> Facts {
    let values: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let get = |key: &str| values.get(key).copied().unwrap_or_default().trim().to_owned();
    let uptime = get("uptime").parse::<f64>().unwrap_or(0.0);
    // The clock is read when the script begins, which is about half the round trip after we
    // sent it; what the script does then makes the error bound larger, never too small.
    let middle = before + (after - before) / 2;
    let now = get("now").parse::<i64>().ok().map(|ns| ns / 1_000_000);
    Facts {
        os_id: get("os_id"),
        os_version: get("os_version"),
        os_name: get("os_name"),
        kernel: get("kernel"),
        arch: get("arch"),
        hostname: get("hostname"),
        machine_id: get("machine_id"),
        uptime: Duration::try_from_secs_f64(uptime).unwrap_or_default(),
        package_manager: get("packages"),
        kvm: get("kvm") == "1",
        virtualization: get("virt"),
        user: get("user"),
        uid: get("uid").parse().ok(),
        time_offset_ms: now.map(|now| now - middle),
        time_error_ms: (after - before) / 2 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_facts_and_what_is_missing_is_empty() {
        let text = "now=1700000003500000000\nos_id=debian\nos_name=Debian GNU/Linux 12 (a=b)\nuptime=12.50\nkvm=1\nuid=0\n";
        let facts = parse(text, 1_700_000_000_000, 1_700_000_001_000);
        assert_eq!((facts.os_id.as_str(), facts.os_name.as_str()), ("debian", "Debian GNU/Linux 12 (a=b)"));
        assert_eq!((facts.time_offset_ms, facts.time_error_ms), (Some(3_000), 501));
        assert_eq!((facts.uptime, facts.kvm, facts.uid), (Duration::from_millis(12_500), true, Some(0)));
        assert_eq!((facts.virtualization.as_str(), parse("", 0, 0).time_offset_ms), ("", None));
        // busybox's date knows no %N.
        assert_eq!(parse("now=1700000003%N\n", 0, 0).time_offset_ms, None);
    }
}
