//! Moving guests: decide, then do.

use rhai::plugin::*;
use rhai::{Array, Dynamic, Map};

use super::super::error::{Outcome, ScriptFault, misuse};
use super::super::options::{Options, keys, type_word};
use super::super::show;
use super::{at, domains_of, host_of, session};
use crate::model::{Bytes, Class, Fault, MigrateOptions, MigrateReport};
use crate::ops::migrate::into_result;
use crate::ops::transfer::{Limits, connect, expect_migrations, plan, run};
use crate::ops::{Domain, Host};

fn read(options: &Options) -> Outcome<MigrateOptions> {
    let connections = options.count("connections")?;
    Ok(MigrateOptions {
        // libvirt counts MiB/s.
        bandwidth: options.size("bandwidth")?.map(|Bytes(bytes)| bytes.div_ceil(1 << 20)),
        auto_converge: options.flag("auto_converge")?,
        post_copy: options.flag("post_copy")?,
        parallel_connections: connections.and_then(|n| i32::try_from(n).ok()).filter(|n| *n > 1),
        copy_storage: options.flag("copy_storage")?,
        max_downtime: options.count("max_downtime_ms")?.map(std::time::Duration::from_millis),
        rename: None,
        migrate_uri: None,
        keep_source: options.flag("keep_source")?,
        transient: options.flag("transient")?,
        timeout: options.seconds("timeout")?,
    })
}

/// Options of one migration.
pub(super) fn migrate_options(map: Map) -> Outcome<MigrateOptions> {
    let options = Options::new(&keys::MIGRATE, map)?;
    Ok(MigrateOptions {
        rename: options.text("rename")?,
        migrate_uri: options.text("migrate_uri")?,
        ..read(&options)?
    })
}

/// One guest to one host, after a preflight.
pub(super) fn migrate_one(
    domain: &Domain,
    target: &Host,
    options: &MigrateOptions,
) -> Result<Option<MigrateReport>, Fault> {
    let plan = plan(std::slice::from_ref(domain), std::slice::from_ref(target), options)?;
    if let Some(blocked) = plan.blocked.first() {
        return Err(refusal(domain, target, &blocked.reasons));
    }
    let reports = run(&plan.moves, options, Limits { parallel: 1, in_flight: None });
    reports.into_iter().next().map(into_result).transpose()
}

/// All blockers in one fault.
fn refusal(domain: &Domain, target: &Host, reasons: &[Fault]) -> Fault {
    if let [one] = reasons {
        return one.clone().class(Class::Refused);
    }
    let message = format!("{} cannot move to {}", domain.name(), target.name());
    let fault = Fault::new("blocked", message).class(Class::Refused).on_host(target.name());
    reasons
        .iter()
        .fold(fault.on_object("domain", domain.name()), |fault, reason| fault.because(reason.message.clone()))
}

#[export_module(manifest)]
pub(super) mod functions {
    /// A decided move, from `placement`.
    pub type Move = crate::ops::migrate::Move;

    /// Decides where guests go, and changes nothing.
    ///
    /// `domains`: an array of Domains of one host; `targets`: an array of Hosts or names.
    ///
    /// Checks every guest against every target (CPU, machine type, networks, bridges, files, shared storage,
    /// names, devices, snapshots, memory) and never plans more onto a target than its free memory.
    /// Returns `#{moves, blocked}`: `moves` for `transfer`; `blocked` an array of `#{domain, lacks_memory, reasons}`.
    ///
    /// Errors: faults of the connections.
    ///
    /// Example: `try { placement(host("test:///default").domains(), hosts(), #{}).moves } catch (e) { e.code }`
    #[rhai_fn(name = "placement", return_raw)]
    pub fn placement(
        ctx: NativeCallContext<'_>,
        domains: Array,
        targets: Array,
        options: Map,
    ) -> Outcome<Map> {
        let options = Options::new(&keys::PLACEMENT, options)?;
        let options = MigrateOptions { copy_storage: options.flag("copy_storage")?, ..Default::default() };
        let domains = domains_of("placement", &domains)?;
        let targets =
            targets.iter().map(|value| host_of(&ctx, "placement", value)).collect::<Outcome<Vec<_>>>()?;
        if domains.iter().any(|domain| domain.host() != domains[0].host()) {
            return Err(misuse("placement: the domains must be on one host"));
        }
        let plan = plan(&domains, &targets, &options)?;
        let blocked = plan.blocked.into_iter().map(|blocked| {
            let reasons: Array =
                blocked.reasons.into_iter().map(|fault| Dynamic::from(ScriptFault { fault })).collect();
            Dynamic::from(Map::from([
                ("domain".into(), Dynamic::from(blocked.domain)),
                ("lacks_memory".into(), blocked.lacks_memory.into()),
                ("reasons".into(), reasons.into()),
            ]))
        });
        Ok(Map::from([
            ("blocked".into(), Dynamic::from(blocked.collect::<Array>())),
            ("moves".into(), Dynamic::from(super::super::array(plan.moves))),
        ]))
    }

    /// Makes the moves that `placement` has decided, several at a time, each with its progress.
    ///
    /// One that fails never stops the others. Returns an array of `#{domain, source, target, verdict, live, seconds, bytes,
    /// downtime_ms, error}`; `verdict` is what both daemons said afterwards: `"moved"`, `"stayed"`,
    /// `"both"`, `"nowhere"` or `"unknown"`; `error` is `()` where it went well. In a plan: empty.
    ///
    /// After a Ctrl-C or `--timeout` the script has some seconds to tell what became of the guests; it can
    /// change nothing more, and ends with exit code 130 or 124.
    ///
    /// Example: `transfer([], #{parallel: 4})`
    #[rhai_fn(name = "transfer", return_raw)]
    pub fn transfer(ctx: NativeCallContext<'_>, moves: Array, options: Map) -> Outcome<Array> {
        let options = Options::new(&keys::TRANSFER, options)?;
        let limits = match options.count("parallel")? {
            // Who names a number means it.
            Some(n) => Limits { parallel: usize::try_from(n.clamp(1, 64)).unwrap_or(1), in_flight: None },
            None => Limits::default(),
        };
        let migrate = read(&options)?;
        let moves = moves
            .iter()
            .map(|item| match item.read_lock::<Move>() {
                Some(one) => Ok(one.clone()),
                None => {
                    Err(misuse(format!("transfer takes the moves of a placement, not {}", type_word(item))))
                }
            })
            .collect::<Outcome<Vec<Move>>>()?;
        let reports = at(&ctx, || Ok(run(&moves, &migrate, limits)))?;
        // What became of each guest is told even after a Ctrl-C; nothing else is begun then.
        session(&ctx)?.cancel().let_tell();
        Ok(reports.iter().map(show::report).collect())
    }

    /// Opens the connections to `hosts` now, all at once, instead of each when it is first used.
    ///
    /// `hosts`: an array of Hosts or names. Never throws: what is wrong with a host is told where it is used.
    ///
    /// Example: `connect([host("test:///default")], #{})`
    #[rhai_fn(name = "connect", return_raw)]
    pub fn connect_now(ctx: NativeCallContext<'_>, hosts: Array, options: Map) -> Outcome<()> {
        let options = Options::new(&keys::CONNECT, options)?;
        let migrations = options.count("migrations")?.unwrap_or(0).min(64);
        let hosts = hosts.iter().map(|value| host_of(&ctx, "connect", value)).collect::<Outcome<Vec<_>>>()?;
        connect(&hosts);
        expect_migrations(&hosts, usize::try_from(migrations).unwrap_or(0));
        Ok(())
    }

    /// The guest.
    ///
    /// Example: `for move in [] { print(move.domain.name) }`
    #[rhai_fn(get = "domain", pure)]
    pub fn move_domain(one: &mut Move) -> Domain {
        one.domain.clone()
    }

    /// Where it goes.
    ///
    /// Example: `for move in [] { print(move.target.name) }`
    #[rhai_fn(get = "target", pure)]
    pub fn move_target(one: &mut Move) -> Host {
        one.target.clone()
    }

    /// Why there.
    ///
    /// Example: `for move in [] { print(move.why) }`
    #[rhai_fn(get = "why", pure)]
    pub fn move_why(one: &mut Move) -> String {
        one.why.clone()
    }

    /// Whether it moves live; otherwise its definition does.
    ///
    /// Example: `for move in [] { print(move.live) }`
    #[rhai_fn(get = "live", pure)]
    pub fn move_live(one: &mut Move) -> bool {
        one.live
    }
}
