//! A host's own network: bonds and bridges, changed so that nobody is locked out.

mod check;
mod clones;
mod custom;
mod expect;
mod look;
mod owner;
mod transaction;
mod watch;
mod work;

use std::time::Duration;

pub use check::Problem;
pub use clones::Machines;
pub use custom::Custom;
pub use expect::Expect;
pub use look::{Address, LinkState, Look};
pub use owner::{Owner, owner};
pub use transaction::{Options, Report};
pub use work::{Edit, Work};

use super::Host;
use crate::model::{Class, Fault};
use crate::netconf::Link;
use transaction::{Depth, Site};

/// How links are set up or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkOptions {
    /// How the transaction is made.
    pub transaction: Options,
    /// Goes ahead in spite of what is only unlikely to work.
    pub force: bool,
}

/// The least and the most that a change may wait for its confirmation: below, a bond's slaves have not settled, above,
/// nobody waits at the other end.
pub const CONFIRM_WITHIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(900));

impl Host {
    /// What there is of the host's network; of its files only those that the account may read, where it may not use sudo.
    ///
    /// # Errors
    /// Faults of the connection; `probe_failed`.
    pub fn look_at_network(&self) -> Result<Look, Fault> {
        let look = transaction::look(self, self.shell(), false, Depth::All)?;
        self.session().machines().remember(self.name(), &look);
        if look.uid == 0 {
            return Ok(look);
        }
        match transaction::look(self, self.shell(), true, Depth::All) {
            Err(fault) if fault.code == "probe_failed" => Ok(look),
            with_sudo => with_sudo,
        }
    }

    /// Has these links, all of them in one transaction; those that are as wanted are left alone.
    ///
    /// # Errors
    /// `network_owner`, `network_refused`, `network_file`, `network_address_taken`, `network_pending`, `same_identity`: class
    /// `Refused`, nothing was touched. `network_undone`: a check failed, everything is as before.
    pub fn set_links(&self, links: &[Link], options: &LinkOptions) -> Result<Report, Fault> {
        let set = || {
            let (site, look) = Site::open(self)?;
            let owner = owner(&look)?;
            let links = &work::with_mtu(&look, links);
            let mut problems = check::of_links(&look, links);
            check::refuse(&problems, options.force)?;
            let work = work::put(&look, owner, links)?;
            if work.is_empty() {
                return Ok(Report::default());
            }
            problems = check::of_host(&look, owner, links);
            problems.extend(check::of_files(&look, work.edits.iter().map(|edit| edit.path.as_str())));
            problems.extend(check::of_files_elsewhere(&look, &work.touched));
            check::refuse(&problems, options.force)?;
            self.refuse_taken(&site, &look, links)?;
            site.carry_out(&look, &work, &options.transaction)
        };
        set().map_err(|fault: Fault| fault.on_host(self.name()))
    }

    fn refuse_taken(&self, site: &Site<'_>, look: &Look, links: &[Link]) -> Result<(), Fault> {
        let taken = site.duplicates(self.shell(), look, &work::addresses_to_probe(look, links))?;
        let Some((address, mac)) = taken.first() else { return Ok(()) };
        Err(Fault::new(
            "network_address_taken",
            format!("another machine has the address {address}: {mac} answers for it"),
        )
        .class(Class::Refused)
        .hint("every host needs an address of its own"))
    }

    /// Takes links back that were set up with kvmsh, given from the top down; those that are not there are left alone.
    ///
    /// # Errors
    /// As [`Host::set_links`].
    pub fn remove_links(&self, names: &[String], options: &LinkOptions) -> Result<Report, Fault> {
        let remove = || {
            let (site, look) = Site::open(self)?;
            let owner = owner(&look)?;
            let work = work::take_back(&look, owner, names)?;
            if work.is_empty() {
                return Ok(Report::default());
            }
            check::refuse(&check::of_host(&look, owner, &[]), options.force)?;
            site.carry_out(&look, &work, &options.transaction)
        };
        remove().map_err(|fault: Fault| fault.on_host(self.name()))
    }

    /// Makes a change of a script's own, with the same way back.
    ///
    /// # Errors
    /// As [`Host::set_links`].
    pub fn change_network(&self, custom: &Custom, options: &LinkOptions) -> Result<Report, Fault> {
        let change = || {
            let (site, look) = Site::open(self)?;
            let work = custom.work(&site, &look)?;
            if work.is_empty() {
                return Ok(Report::default());
            }
            check::refuse(&check::of_host(&look, Owner::Netplan, &[]), options.force)?;
            site.carry_out(&look, &work, &options.transaction)
        };
        change().map_err(|fault: Fault| fault.on_host(self.name()))
    }
}
