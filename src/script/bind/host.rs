//! Hosts.

use rhai::plugin::*;
use rhai::{Dynamic, FnPtr, Map};
use std::time::{Duration, Instant};

use super::super::error::{Outcome, misuse};
use super::super::options::{Options, keys};
use super::super::{show, sizes};
use super::{ArrayOf, array, at, session};
use crate::libvirt::{Hypervisor, StatsGroup};
use crate::ops::{Cpu, Domain, Host, Network, Pool, Volume};
use wildmatch::WildMatch;

#[export_module(manifest)]
pub(super) mod functions {
    /// The name people use.
    ///
    /// Example: `host("test:///default").name`
    #[rhai_fn(get = "name", pure)]
    pub fn name(host: &mut Host) -> String {
        host.name().to_owned()
    }

    /// The libvirt URI.
    ///
    /// Example: `host("test:///default").uri`
    #[rhai_fn(get = "uri", pure)]
    pub fn uri(host: &mut Host) -> String {
        host.uri()
    }

    /// The name the host gives itself.
    ///
    /// Example: `host("test:///default").hostname`
    #[rhai_fn(get = "hostname", return_raw, pure)]
    pub fn hostname(host: &mut Host) -> Outcome<String> {
        Ok(host.hostname()?)
    }

    /// libvirt's UUID of the host; empty where the driver has none.
    ///
    /// Example: `host("test:///default").uuid`
    #[rhai_fn(get = "uuid", return_raw, pure)]
    pub fn uuid(host: &mut Host) -> Outcome<String> {
        Ok(host.capabilities()?.uuid.clone())
    }

    /// Versions of libvirt, its driver and the hypervisor.
    ///
    /// `#{libvirt, driver, hypervisor}`.
    ///
    /// Example: `host("test:///default").version.driver`
    #[rhai_fn(get = "version", return_raw, pure)]
    pub fn version(host: &mut Host) -> Outcome<Map> {
        let versions = host.versions()?;
        Ok(Map::from([
            ("libvirt".into(), versions.libvirt.into()),
            ("driver".into(), versions.driver.into()),
            ("hypervisor".into(), versions.hypervisor.into()),
        ]))
    }

    /// Processors and memory of the machine.
    ///
    /// `#{arch, cpus, mhz, numa_nodes, sockets, cores, threads, memory}`, memory in bytes.
    ///
    /// Example: `host("test:///default").info.cpus`
    #[rhai_fn(get = "info", return_raw, pure)]
    pub fn info(host: &mut Host) -> Outcome<Map> {
        let info = host.node_info()?;
        Ok(Map::from([
            ("arch".into(), info.arch.into()),
            ("cpus".into(), i64::from(info.cpus).into()),
            ("mhz".into(), i64::from(info.mhz).into()),
            ("numa_nodes".into(), i64::from(info.numa_nodes).into()),
            ("sockets".into(), i64::from(info.sockets).into()),
            ("cores".into(), i64::from(info.cores).into()),
            ("threads".into(), i64::from(info.threads).into()),
            ("memory".into(), sizes::bytes(info.memory)),
        ]))
    }

    /// Memory now, in bytes.
    ///
    /// `#{total, free, available}`; available counts buffers and cache as free.
    ///
    /// Example: `human(host("test:///default").memory.total)`
    #[rhai_fn(get = "memory", return_raw, pure)]
    pub fn memory(host: &mut Host) -> Outcome<Map> {
        let memory = host.memory()?;
        Ok(Map::from([
            ("total".into(), sizes::bytes(memory.total)),
            ("free".into(), sizes::bytes(memory.free)),
            ("available".into(), sizes::bytes(memory.available)),
        ]))
    }

    /// The CPU.
    ///
    /// Example: `host("test:///default").cpu.model`
    #[rhai_fn(get = "cpu", pure)]
    pub fn cpu(host: &mut Host) -> Cpu {
        host.cpu()
    }

    /// Whether libvirt answers now.
    ///
    /// It never throws.
    ///
    /// Example: `host("test:///default").alive`
    #[rhai_fn(get = "alive", pure)]
    pub fn alive(host: &mut Host) -> bool {
        host.is_alive()
    }

    /// A domain by name, running or not.
    ///
    /// Errors: `no_domain`, with a suggestion.
    ///
    /// Example: `host("test:///default").domain("test")`
    #[rhai_fn(name = "domain", return_raw, pure)]
    pub fn domain(host: &mut Host, name: &str) -> Outcome<Domain> {
        Ok(host.domain(name)?)
    }

    /// All domains, running or not, by name.
    ///
    /// Example: `host("test:///default").domains().len()`
    #[rhai_fn(name = "domains", return_raw, pure)]
    pub fn domains(host: &mut Host) -> Outcome<ArrayOf<Domain>> {
        Ok(array(host.domains()?))
    }

    /// The domains that match.
    ///
    /// Errors: `invalid_arg` for what is no state.
    ///
    /// Example: `host("test:///default").domains(#{state: "running", name: "t*"})`
    #[rhai_fn(name = "domains", return_raw, pure)]
    pub fn domains_matching(host: &mut Host, filter: Map) -> Outcome<ArrayOf<Domain>> {
        let filter = Options::new(&keys::DOMAINS, filter)?;
        let name = filter.text("name")?.map(|glob| WildMatch::new(&glob));
        let state = filter.word("state")?;
        let mut domains = host.domains()?;
        if let Some(name) = name {
            domains.retain(|domain| name.matches(domain.name()));
        }
        if let Some(state) = state {
            let rows = host.domain_rows()?;
            let matching: std::collections::HashSet<String> =
                rows.into_iter().filter(|row| row.state.word() == state).map(|row| row.name).collect();
            domains.retain(|domain| matching.contains(domain.name()));
        }
        Ok(array(domains))
    }

    /// Defines a domain from XML, or changes the definition of the one with its name and UUID.
    ///
    /// A new one is refused (exit 4) if it runs on another known host, or a machine there has one of its disks in use:
    /// both would write to it. Disks that are read-only or shareable do not count.
    ///
    /// Errors: `runs_elsewhere`, `disk_in_use`; what libvirt says of the XML.
    ///
    /// Example: `plan(|| host("test:///default").define("<domain type='test'><name>x</name><memory>1024</memory><os><type>hvm</type></os></domain>"))`
    #[rhai_fn(name = "define", return_raw, pure)]
    pub fn define(ctx: NativeCallContext<'_>, host: &mut Host, xml: &str) -> Outcome<Domain> {
        Ok(at(&ctx, || host.define(xml, false))?)
    }

    /// As `define(xml)`, with options.
    ///
    /// Errors: those of `define(xml)`; `unknown_option`.
    ///
    /// Example: `plan(|| host("test:///default").define("<domain type='test'><name>x</name><memory>1024</memory><os><type>hvm</type></os></domain>", #{force: true}))`
    #[rhai_fn(name = "define", return_raw, pure)]
    pub fn define_with(
        ctx: NativeCallContext<'_>,
        host: &mut Host,
        xml: &str,
        options: Map,
    ) -> Outcome<Domain> {
        let force = Options::new(&keys::DEFINE, options)?.flag("force")?;
        Ok(at(&ctx, || host.define(xml, force))?)
    }

    /// Starts a transient domain from XML: it is gone when it stops.
    ///
    /// Errors: `runs_elsewhere`, `disk_in_use` as `define(xml)`; what libvirt says of the XML.
    ///
    /// Example: `plan(|| host("test:///default").create("<domain type='test'><name>x</name><memory>1024</memory><os><type>hvm</type></os></domain>"))`
    #[rhai_fn(name = "create", return_raw, pure)]
    pub fn create(ctx: NativeCallContext<'_>, host: &mut Host, xml: &str) -> Outcome<Domain> {
        Ok(at(&ctx, || host.create(xml))?)
    }

    /// A storage pool by name.
    ///
    /// Errors: `no_storage_pool`, with a suggestion.
    ///
    /// Example: `host("test:///default").pool("default-pool").state`
    #[rhai_fn(name = "pool", return_raw, pure)]
    pub fn pool(host: &mut Host, name: &str) -> Outcome<Pool> {
        Ok(host.pool(name)?)
    }

    /// All storage pools, running or not, by name.
    ///
    /// Example: `host("test:///default").pools()`
    #[rhai_fn(name = "pools", return_raw, pure)]
    pub fn pools(host: &mut Host) -> Outcome<ArrayOf<Pool>> {
        Ok(array(host.pools()?))
    }

    /// A virtual network by name.
    ///
    /// Errors: `no_network`, with a suggestion.
    ///
    /// Example: `host("test:///default").network("default").active`
    #[rhai_fn(name = "network", return_raw, pure)]
    pub fn network(host: &mut Host, name: &str) -> Outcome<Network> {
        Ok(host.network(name)?)
    }

    /// All virtual networks, running or not, by name.
    ///
    /// Example: `host("test:///default").networks()`
    #[rhai_fn(name = "networks", return_raw, pure)]
    pub fn networks(host: &mut Host) -> Outcome<ArrayOf<Network>> {
        Ok(array(host.networks()?))
    }

    /// Defines a virtual network from XML, or from `#{name, bridge}` one that offers that bridge of the host to guests.
    ///
    /// Does not start it.
    ///
    /// Errors: what libvirt says of the XML; `unknown_option`.
    ///
    /// Example: `plan(|| host("test:///default").define_network(#{name: "lan", bridge: "br0"}))`
    #[rhai_fn(name = "define_network", return_raw, pure)]
    pub fn define_network(
        ctx: NativeCallContext<'_>,
        host: &mut Host,
        xml_or_map: Dynamic,
    ) -> Outcome<Network> {
        let xml = match xml_or_map.clone().try_cast::<Map>() {
            None => xml_or_map
                .into_immutable_string()
                .map_err(|kind| misuse(format!("define_network takes XML or a map, not {kind}")))?
                .to_string(),
            Some(map) => {
                let map = Options::new(&keys::DEFINE_NETWORK, map)?;
                let need = |key: &'static str| {
                    map.text(key)?.ok_or_else(|| misuse(format!("define_network: `{key}` is missing")))
                };
                let (name, bridge) = (need("name")?, need("bridge")?);
                crate::xml::build::bridge_network(&name, &bridge).map_err(crate::model::Fault::from)?
            }
        };
        Ok(at(&ctx, || host.define_network(&xml))?)
    }

    /// The volume at a path, in whichever running pool.
    ///
    /// Errors: `no_storage_volume`.
    ///
    /// Example: `try { host("test:///default").volume("/default-pool/disk.qcow2").capacity } catch (e) { e.code }`
    #[rhai_fn(name = "volume", return_raw, pure)]
    pub fn volume(host: &mut Host, path: &str) -> Outcome<Volume> {
        Ok(host.volume(path)?)
    }

    /// Figures of all domains in one call.
    ///
    /// An array of maps with `name`, `uuid` and libvirt's own names (`"state.state"`, `"balloon.current"` in KiB, …).
    ///
    /// Example: `host("test:///default").stats()[0].name`
    #[rhai_fn(name = "stats", return_raw, pure)]
    pub fn stats(host: &mut Host) -> Outcome<ArrayOf<Map>> {
        let rows = host.stats_connection()?.stats(&StatsGroup::ALL).map_err(crate::model::Fault::from)?;
        Ok(rows
            .into_iter()
            .map(|(name, uuid, params)| {
                let mut row: Map = params
                    .iter()
                    .map(|(k, v)| (k.as_str().into(), sizes::figure(k, show::param(v))))
                    .collect();
                row.insert("name".into(), name.into());
                row.insert("uuid".into(), uuid.into());
                Dynamic::from(row)
            })
            .collect())
    }

    /// The capabilities XML.
    ///
    /// Example: `host("test:///default").capabilities.len() > 0`
    #[rhai_fn(get = "capabilities", return_raw, pure)]
    pub fn capabilities(host: &mut Host) -> Outcome<String> {
        Ok(host.capabilities_xml()?)
    }

    /// The domain capabilities XML.
    ///
    /// Errors: `no_support` for drivers without them.
    ///
    /// Example: `try { host("test:///default").domain_capabilities(#{arch: "x86_64"}).len() } catch (e) { e.code }`
    #[rhai_fn(name = "domain_capabilities", return_raw, pure)]
    pub fn domain_capabilities(host: &mut Host, options: Map) -> Outcome<String> {
        let options = Options::new(&keys::DOMAIN_CAPABILITIES, options)?;
        let of = Hypervisor {
            emulator: options.text("emulator")?.unwrap_or_default(),
            arch: options.text("arch")?.unwrap_or_default(),
            machine: options.text("machine")?.unwrap_or_default(),
            virt_type: options.text("type")?.unwrap_or_default(),
        };
        Ok(host.domain_capabilities_xml(&of)?)
    }

    /// Calls `f` with each lifecycle event until it returns `false`.
    ///
    /// The event is `#{domain, uuid, event, detail}`. Returns the number of events.
    ///
    /// Errors: `connection_lost` when the daemon is gone.
    ///
    /// Example: `host("test:///default").events(#{timeout: 0.01}, |e| print(e.domain))`
    #[rhai_fn(name = "events", return_raw, pure)]
    pub fn events(ctx: NativeCallContext<'_>, host: &mut Host, filter: Map, f: FnPtr) -> Outcome<i64> {
        let filter = Options::new(&keys::HOST_EVENTS, filter)?;
        let name = filter.text("domain")?.map(|glob| WildMatch::new(&glob));
        let kind = filter.word("event")?;
        let limit = filter.seconds("timeout")?;
        let cancel = session(&ctx)?.cancel().clone();
        let fault = |error: crate::libvirt::Error| crate::model::Fault::from(error).on_host(host.name());
        let events = host.events_connection()?.events().map_err(fault)?;
        let began = Instant::now();
        let mut seen = 0;
        while limit.is_none_or(|limit| began.elapsed() < limit) {
            cancel.check()?;
            let Some(event) = events.next(Duration::from_millis(100)).map_err(fault)? else { continue };
            let wanted = name.as_ref().is_none_or(|glob| glob.matches(&event.domain))
                && kind.as_deref().is_none_or(|kind| kind == event.event);
            if !wanted {
                continue;
            }
            seen += 1;
            let map = Map::from([
                ("domain".into(), event.domain.into()),
                ("uuid".into(), event.uuid.into()),
                ("event".into(), event.event.into()),
                ("detail".into(), event.detail.into()),
            ]);
            let goes_on: Dynamic = f.call_within_context(&ctx, (map,))?;
            if goes_on.as_bool() == Ok(false) {
                break;
            }
        }
        Ok(seen)
    }
}
