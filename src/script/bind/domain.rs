//! Domains.

use std::time::Duration;

use rhai::plugin::*;
use rhai::{Dynamic, Map};

use super::super::error::{Outcome, ScriptFault};
use super::super::options::{Options, keys};
use super::super::{show, sizes};
use super::{ArrayOf, at, host_of};
use crate::libvirt::{StatsGroup, UndefineOptions, XmlKind};
use crate::model::Fault;
use crate::ops::{Domain as OpsDomain, Host, transfer};

/// How long `shutdown()` waits where the script does not say, in seconds.
const SHUTDOWN_SECONDS: i64 = 60;

#[export_module(manifest)]
pub(super) mod functions {
    /// A domain (guest) on a host.
    pub type Domain = OpsDomain;

    /// Name.
    ///
    /// Example: `host("test:///default").domain("test").name`
    #[rhai_fn(get = "name", pure)]
    pub fn name(domain: &mut Domain) -> String {
        domain.name().to_owned()
    }

    /// The host it is on.
    ///
    /// Example: `host("test:///default").domain("test").host.name`
    #[rhai_fn(get = "host", pure)]
    pub fn host(domain: &mut Domain) -> Host {
        domain.host().clone()
    }

    /// UUID.
    ///
    /// Example: `host("test:///default").domain("test").uuid`
    #[rhai_fn(get = "uuid", return_raw, pure)]
    pub fn uuid(domain: &mut Domain) -> Outcome<String> {
        Ok(domain.uuid()?)
    }

    /// The number of a running domain, or `()`.
    ///
    /// Example: `host("test:///default").domain("test").id`
    #[rhai_fn(get = "id", return_raw, pure)]
    pub fn id(domain: &mut Domain) -> Outcome<Dynamic> {
        Ok(domain.id()?.map_or(Dynamic::UNIT, |id| i64::from(id).into()))
    }

    /// State now, in virsh's words.
    ///
    /// `running`, `idle`, `paused`, `in shutdown`, `shut off`, `crashed` or `pmsuspended`.
    ///
    /// Example: `host("test:///default").domain("test").state`
    #[rhai_fn(get = "state", return_raw, pure)]
    pub fn state(domain: &mut Domain) -> Outcome<String> {
        Ok(domain.state()?.word().to_owned())
    }

    /// Whether it runs or is paused: it holds memory on its host.
    ///
    /// Example: `host("test:///default").domain("test").active`
    #[rhai_fn(get = "active", return_raw, pure)]
    pub fn active(domain: &mut Domain) -> Outcome<bool> {
        Ok(domain.state()?.is_active())
    }

    /// Whether a saved memory image waits for the next start.
    ///
    /// Example: `host("test:///default").domain("test").saved`
    #[rhai_fn(get = "saved", return_raw, pure)]
    pub fn saved(domain: &mut Domain) -> Outcome<bool> {
        Ok(domain.has_managed_save()?)
    }

    /// State, memory and processors in one call.
    ///
    /// `#{state, memory, max_memory, vcpus, cpu_time}`: bytes, and seconds of processor time since its start.
    ///
    /// Example: `host("test:///default").domain("test").info.vcpus`
    #[rhai_fn(get = "info", return_raw, pure)]
    pub fn info(domain: &mut Domain) -> Outcome<Map> {
        let info = domain.info()?;
        Ok(Map::from([
            ("state".into(), info.state.word().into()),
            ("memory".into(), sizes::bytes(info.memory)),
            ("max_memory".into(), sizes::bytes(info.max_memory)),
            ("vcpus".into(), i64::from(info.vcpus).into()),
            ("cpu_time".into(), (info.cpu_time as f64 / 1e9).into()),
        ]))
    }

    /// The XML as it runs now; of a domain that is off, the definition.
    ///
    /// Example: `host("test:///default").domain("test").xml.contains("<name>")`
    #[rhai_fn(get = "xml", return_raw, pure)]
    pub fn xml(domain: &mut Domain) -> Outcome<String> {
        Ok(domain.xml(XmlKind::Live)?)
    }

    /// The XML that the next start uses.
    ///
    /// Example: `host("test:///default").domain("test").inactive_xml.len() > 0`
    #[rhai_fn(get = "inactive_xml", return_raw, pure)]
    pub fn inactive_xml(domain: &mut Domain) -> Outcome<String> {
        Ok(domain.xml(XmlKind::Inactive)?)
    }

    /// The XML that the next start uses, with its secrets: what has to be defined again to be the same.
    ///
    /// A read-only session gets it without them.
    ///
    /// Example: `host("test:///default").domain("test").definition.len() > 0`
    #[rhai_fn(get = "definition", return_raw, pure)]
    pub fn definition(domain: &mut Domain) -> Outcome<String> {
        Ok(domain.definition()?)
    }

    /// Its disks.
    ///
    /// An array of `#{target, device, type, source, format, cache, read_only}`.
    ///
    /// Example: `host("test:///default").domain("test").disks`
    #[rhai_fn(get = "disks", return_raw, pure)]
    pub fn disks(domain: &mut Domain) -> Outcome<ArrayOf<Map>> {
        Ok(domain.hardware()?.disks.iter().map(show::disk).collect())
    }

    /// Its network cards.
    ///
    /// An array of `#{mac, type, source, model, device}`.
    ///
    /// Example: `host("test:///default").domain("test").nics`
    #[rhai_fn(get = "nics", return_raw, pure)]
    pub fn nics(domain: &mut Domain) -> Outcome<ArrayOf<Map>> {
        Ok(domain.hardware()?.nics.iter().map(show::nic).collect())
    }

    /// Figures of it.
    ///
    /// A map with `name`, `uuid` and libvirt's own names, as a row of `host.stats()`.
    ///
    /// Errors: `no_domain` when it has gone.
    ///
    /// Example: `host("test:///default").domain("test").stats.name`
    #[rhai_fn(get = "stats", return_raw, pure)]
    pub fn stats(domain: &mut Domain) -> Outcome<Map> {
        let uuid = domain.uuid()?;
        let rows = domain.host().stats_connection()?.stats(&StatsGroup::ALL).map_err(Fault::from)?;
        let row = rows.into_iter().find(|(_, other, _)| *other == uuid).ok_or_else(|| {
            let fault = Fault::new("no_domain", format!("domain {} has gone", domain.name()));
            fault.on_host(domain.host().name()).on_object("domain", domain.name())
        })?;
        let mut figures: Map =
            row.2.iter().map(|(k, v)| (k.as_str().into(), sizes::figure(k, show::param(v)))).collect();
        figures.insert("name".into(), row.0.into());
        figures.insert("uuid".into(), row.1.into());
        Ok(figures)
    }

    /// The job that runs now, for instance a migration.
    ///
    /// `#{kind, operation, elapsed, remaining, downtime, total, processed, left, rate, dirty_rate, iteration,
    /// throttle}`: seconds, bytes, bytes per second; `kind` is `"none"` where none runs.
    ///
    /// Errors: `no_support` for drivers without jobs.
    ///
    /// Example: `try { host("test:///default").domain("test").job.kind } catch (e) { e.code }`
    #[rhai_fn(get = "job", return_raw, pure)]
    pub fn job(domain: &mut Domain) -> Outcome<Map> {
        Ok(show::job(&domain.job(false)?))
    }

    /// The last job that ended, as `job`; after a migration the target has it.
    ///
    /// Errors: `no_support` for drivers without jobs.
    ///
    /// Example: `try { host("test:///default").domain("test").last_job.kind } catch (e) { e.code }`
    #[rhai_fn(get = "last_job", return_raw, pure)]
    pub fn last_job(domain: &mut Domain) -> Outcome<Map> {
        Ok(show::job(&domain.job(true)?))
    }

    /// Whether it has a definition that outlives its run.
    ///
    /// Example: `host("test:///default").domain("test").persistent`
    #[rhai_fn(get = "persistent", return_raw, pure)]
    pub fn persistent(domain: &mut Domain) -> Outcome<bool> {
        Ok(domain.is_persistent()?)
    }

    /// Whether it starts with the host.
    ///
    /// Example: `host("test:///default").domain("test").autostart`
    #[rhai_fn(get = "autostart", return_raw, pure)]
    pub fn autostart(domain: &mut Domain) -> Outcome<bool> {
        Ok(domain.autostart()?)
    }

    /// Sets whether it starts with the host.
    ///
    /// Example: `plan(|| { let guest = host("test:///default").domain("test"); guest.autostart = true; })`
    #[rhai_fn(set = "autostart", return_raw, pure)]
    pub fn set_autostart(ctx: NativeCallContext<'_>, domain: &mut Domain, on: bool) -> Outcome<()> {
        Ok(at(&ctx, || domain.set_autostart(on))?)
    }

    /// Starts it; one that runs is left alone.
    ///
    /// Refused (exit 4) if it runs on another known host, or a machine there has one of its disks in use.
    ///
    /// Errors: `runs_elsewhere`, `disk_in_use`; what libvirt says.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").start())`
    #[rhai_fn(name = "start", return_raw, pure)]
    pub fn start(ctx: NativeCallContext<'_>, domain: &mut Domain) -> Outcome<()> {
        Ok(at(&ctx, || domain.start(false, false))?)
    }

    /// As `start()`, with options.
    ///
    /// Errors: what libvirt says; `unknown_option`.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").start(#{paused: true}))`
    #[rhai_fn(name = "start", return_raw, pure)]
    pub fn start_with(ctx: NativeCallContext<'_>, domain: &mut Domain, options: Map) -> Outcome<()> {
        let options = Options::new(&keys::START, options)?;
        let (paused, force) = (options.flag("paused")?, options.flag("force")?);
        Ok(at(&ctx, || domain.start(paused, force))?)
    }

    /// Asks the guest to shut down and waits until it has, at most 60 s.
    ///
    /// Errors: `shutdown_timeout` when it still runs then.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").shutdown())`
    #[rhai_fn(name = "shutdown", return_raw, pure)]
    pub fn shutdown(ctx: NativeCallContext<'_>, domain: &mut Domain) -> Outcome<()> {
        shutdown_within(ctx, domain, SHUTDOWN_SECONDS)
    }

    /// Asks the guest to shut down and waits at most `seconds`; 0 does not wait.
    ///
    /// Errors: `shutdown_timeout` when it still runs then.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").shutdown(120))`
    #[rhai_fn(name = "shutdown", return_raw, pure)]
    pub fn shutdown_within(ctx: NativeCallContext<'_>, domain: &mut Domain, seconds: i64) -> Outcome<()> {
        let limit = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        Ok(at(&ctx, || domain.shutdown(limit))?)
    }

    /// Asks the guest to reboot.
    ///
    /// Errors: `operation_invalid` when it does not run.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").reboot())`
    #[rhai_fn(name = "reboot", return_raw, pure)]
    pub fn reboot(ctx: NativeCallContext<'_>, domain: &mut Domain) -> Outcome<()> {
        Ok(at(&ctx, || domain.reboot())?)
    }

    /// The reset button: the guest is not asked.
    ///
    /// Errors: `operation_invalid` when it does not run.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").reset())`
    #[rhai_fn(name = "reset", return_raw, pure)]
    pub fn reset(ctx: NativeCallContext<'_>, domain: &mut Domain) -> Outcome<()> {
        Ok(at(&ctx, || domain.reset())?)
    }

    /// Pulls the plug: the guest is not asked and may lose data.
    ///
    /// One that is off is left alone.
    ///
    /// Errors: what libvirt says.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").destroy())`
    #[rhai_fn(name = "destroy", return_raw, pure)]
    pub fn destroy(ctx: NativeCallContext<'_>, domain: &mut Domain) -> Outcome<()> {
        Ok(at(&ctx, || domain.destroy(false))?)
    }

    /// As `destroy()`, with options.
    ///
    /// Errors: what libvirt says; `unknown_option`.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").destroy(#{graceful: true}))`
    #[rhai_fn(name = "destroy", return_raw, pure)]
    pub fn destroy_with(ctx: NativeCallContext<'_>, domain: &mut Domain, options: Map) -> Outcome<()> {
        let graceful = Options::new(&keys::DESTROY, options)?.flag("graceful")?;
        Ok(at(&ctx, || domain.destroy(graceful))?)
    }

    /// Stops its processors; memory stays.
    ///
    /// Errors: `operation_invalid` when it does not run.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").suspend())`
    #[rhai_fn(name = "suspend", return_raw, pure)]
    pub fn suspend(ctx: NativeCallContext<'_>, domain: &mut Domain) -> Outcome<()> {
        Ok(at(&ctx, || domain.suspend())?)
    }

    /// Lets its processors run again.
    ///
    /// Errors: `operation_invalid` when it is not paused.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").resume())`
    #[rhai_fn(name = "resume", return_raw, pure)]
    pub fn resume(ctx: NativeCallContext<'_>, domain: &mut Domain) -> Outcome<()> {
        Ok(at(&ctx, || domain.resume())?)
    }

    /// Removes its definition; disks stay, and one that runs goes on until it stops.
    ///
    /// Errors: `operation_invalid` when it has snapshots or a saved memory image.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").undefine())`
    #[rhai_fn(name = "undefine", return_raw, pure)]
    pub fn undefine(ctx: NativeCallContext<'_>, domain: &mut Domain) -> Outcome<()> {
        undefine_with(ctx, domain, Map::new())
    }

    /// As `undefine()`, with options.
    ///
    /// Errors: what libvirt says; `unknown_option`.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").undefine(#{nvram: true}))`
    #[rhai_fn(name = "undefine", return_raw, pure)]
    pub fn undefine_with(ctx: NativeCallContext<'_>, domain: &mut Domain, options: Map) -> Outcome<()> {
        let options = Options::new(&keys::UNDEFINE, options)?;
        let options = UndefineOptions {
            managed_save: options.flag("managed_save")?,
            snapshots_metadata: options.flag("snapshots")?,
            nvram: options.flag("nvram")?,
        };
        Ok(at(&ctx, || domain.undefine(options))?)
    }

    /// Aborts its running job, for instance a migration.
    ///
    /// Errors: `operation_invalid` when there is none.
    ///
    /// Example: `plan(|| host("test:///default").domain("test").abort_job())`
    #[rhai_fn(name = "abort_job", return_raw, pure)]
    pub fn abort_job(ctx: NativeCallContext<'_>, domain: &mut Domain) -> Outcome<()> {
        Ok(at(&ctx, || domain.abort_job())?)
    }

    /// What would stop it from moving to another host.
    ///
    /// `target`: a Host or its name. Returns an array of Errors, empty if nothing would.
    ///
    /// Errors: faults of the connections.
    ///
    /// Example: `try { host("test:///default").domain("test").preflight("h2-b") } catch (e) { e.code }`
    #[rhai_fn(name = "preflight", return_raw, pure)]
    pub fn preflight(
        ctx: NativeCallContext<'_>,
        domain: &mut Domain,
        target: Dynamic,
    ) -> Outcome<ArrayOf<ScriptFault>> {
        let target = host_of(&ctx, "preflight", &target)?;
        let plan = transfer::plan(std::slice::from_ref(domain), &[target], &Default::default())?;
        let reasons = plan.blocked.into_iter().flat_map(|blocked| blocked.reasons);
        Ok(reasons.map(|fault| Dynamic::from(ScriptFault { fault })).collect())
    }

    /// Moves it to another host, live if it runs, after a preflight.
    ///
    /// `target`: a Host or its name. Returns `#{domain, source, target, verdict, live, seconds, bytes,
    /// downtime_ms}`, or `()` in a plan.
    ///
    /// Errors: every blocker; what went wrong, and where the guest runs now.
    ///
    /// Example: `try { host("test:///default").domain("test").migrate("h2-b") } catch (e) { e.code }`
    #[rhai_fn(name = "migrate", return_raw, pure)]
    pub fn migrate(ctx: NativeCallContext<'_>, domain: &mut Domain, target: Dynamic) -> Outcome<Dynamic> {
        migrate_with(ctx, domain, target, Map::new())
    }

    /// As `migrate(target)`, with options.
    ///
    /// Errors: as `migrate(target)`; `unknown_option`.
    ///
    /// Example: `try { host("test:///default").domain("test").migrate("h2-b", #{auto_converge: true}) } catch (e) { e.code }`
    #[rhai_fn(name = "migrate", return_raw, pure)]
    pub fn migrate_with(
        ctx: NativeCallContext<'_>,
        domain: &mut Domain,
        target: Dynamic,
        options: Map,
    ) -> Outcome<Dynamic> {
        let target = host_of(&ctx, "migrate", &target)?;
        let options = super::super::moves::migrate_options(options)?;
        let report = at(&ctx, || super::super::moves::migrate_one(domain, &target, &options))?;
        Ok(report.map_or(Dynamic::UNIT, |report| show::report(&report)))
    }
}
