//! Leases and cordons.

use rhai::plugin::*;
use rhai::{Dynamic, Map};

use super::super::error::Outcome;
use super::at;
use crate::ops::Host;

fn time(since: Option<jiff::Timestamp>) -> Dynamic {
    since.map_or(Dynamic::UNIT, |since| since.to_string().into())
}

#[export_module(manifest)]
pub(super) mod functions {
    /// Keeps guests from being placed on the host until `uncordon()`, also by other operators; returns whether that is new.
    ///
    /// The mark is on the host and survives its reboot. `why`: the reason that others are told.
    ///
    /// Errors: `lease_held`; `command_failed` where the host cannot be written to.
    ///
    /// Example: `plan(|| host("test:///default").cordon("new disks"))`
    #[rhai_fn(name = "cordon", return_raw, pure)]
    pub fn cordon(ctx: NativeCallContext<'_>, host: &mut Host, why: &str) -> Outcome<bool> {
        Ok(at(&ctx, || host.cordon(why))?.unwrap_or(true))
    }

    /// Lets guests be placed on the host again; returns whether it was cordoned.
    ///
    /// Errors: as `cordon`.
    ///
    /// Example: `plan(|| host("test:///default").uncordon())`
    #[rhai_fn(name = "uncordon", return_raw, pure)]
    pub fn uncordon(ctx: NativeCallContext<'_>, host: &mut Host) -> Outcome<bool> {
        Ok(at(&ctx, || host.uncordon())?.unwrap_or(true))
    }

    /// Whether guests are kept from being placed on the host.
    ///
    /// Errors: faults of the connection.
    ///
    /// Example: `host("test:///default").cordoned`
    #[rhai_fn(get = "cordoned", return_raw, pure)]
    pub fn cordoned(host: &mut Host) -> Outcome<bool> {
        Ok(host.marks()?.cordon.is_some())
    }

    /// Who changes the host now, and why it is cordoned, in one round trip.
    ///
    /// `#{lease, cordon, ended}`; `lease`: `#{holder, purpose, since, age, left}`, ages in seconds, or `()`; `cordon`:
    /// `#{why, by, since}` or `()`; `ended`: whose lease was left behind by a run that has died, or `()`.
    ///
    /// Errors: faults of the connection.
    ///
    /// Example: `host("test:///default").marks.cordon == ()`
    #[rhai_fn(get = "marks", return_raw, pure)]
    pub fn marks(host: &mut Host) -> Outcome<Map> {
        let marks = host.marks()?;
        let lease = marks.lease.map_or(Dynamic::UNIT, |lease| {
            let since = lease.since().to_string();
            Dynamic::from(Map::from([
                ("holder".into(), lease.holder.into()),
                ("purpose".into(), lease.purpose.into()),
                ("since".into(), since.into()),
                ("age".into(), lease.age.into()),
                ("left".into(), lease.left.into()),
            ]))
        });
        let cordon = marks.cordon.map_or(Dynamic::UNIT, |cordon| {
            Dynamic::from(Map::from([
                ("why".into(), cordon.why.into()),
                ("by".into(), cordon.by.into()),
                ("since".into(), time(cordon.since)),
            ]))
        });
        Ok(Map::from([
            ("lease".into(), lease),
            ("cordon".into(), cordon),
            ("ended".into(), marks.ended.map_or(Dynamic::UNIT, Dynamic::from)),
        ]))
    }
}
