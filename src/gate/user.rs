//! Who runs kvmsh: for the journal, and for those who find a lease.

use nix::unistd::{Uid, User};

/// The person: who called sudo, who logged in (also under cron's or su's root, where the system knows), else the
/// account.
pub(super) fn name() -> String {
    let own = Uid::current();
    let called = || std::env::var("SUDO_USER").ok().filter(|name| own.is_root() && !name.is_empty());
    let logged_in = || named(login_uid().filter(|_| own.is_root())?);
    called().or_else(logged_in).or_else(|| named(own)).unwrap_or_else(|| own.to_string())
}

fn named(uid: Uid) -> Option<String> {
    User::from_uid(uid).ok().flatten().map(|user| user.name)
}

/// The account that logged in, whatever became of it by sudo and su; `None` for daemons.
fn login_uid() -> Option<Uid> {
    let uid: u32 = std::fs::read_to_string("/proc/self/loginuid").ok()?.trim().parse().ok()?;
    (uid != u32::MAX).then(|| Uid::from_raw(uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_has_a_name_without_an_environment() {
        assert!(!name().is_empty());
        assert_eq!(named(Uid::from_raw(0)).as_deref(), Some("root"));
    }
}
