//! A host's own network: its links, bonds and bridges, and changes that undo themselves.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rhai::plugin::*;
use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map};

use super::super::error::{Outcome, misuse};
use super::super::options::{Keys, Options, keys, texts, type_word};
use super::{array, at, int};
use crate::model::{Addresses, Addressing, Bond, Bridge, Fault, IfName};
use crate::netconf::Link;
use crate::ops::Host;
use crate::ops::net::{self, CONFIRM_WITHIN, Custom, LinkOptions, Report};

/// What a transaction under construction holds.
#[derive(Debug, Clone, Default)]
pub struct Transaction(Arc<Mutex<Custom>>);

impl Transaction {
    fn with<T>(&self, f: impl FnOnce(&mut Custom) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn name_of(function: &str, text: &str) -> Outcome<IfName> {
    text.parse().map_err(|error| misuse(format!("{function}: {error}")))
}

fn names_of(function: &str, value: Option<&Dynamic>) -> Outcome<Vec<IfName>> {
    let Some(value) = value else { return Ok(Vec::new()) };
    texts(function, value)?.iter().map(|text| name_of(function, text)).collect()
}

fn number<T: TryFrom<u64>>(function: &str, options: &Options, key: &'static str) -> Outcome<Option<T>> {
    let number = options.count(key)?;
    number
        .map(|n| T::try_from(n).map_err(|_| misuse(format!("{function}: `{key}` is too large: {n}"))))
        .transpose()
}

fn addresses(function: &str, options: &Options) -> Outcome<Addressing> {
    let ips = |key: &'static str| -> Outcome<Vec<IpAddr>> {
        let Some(value) = options.value(key) else { return Ok(Vec::new()) };
        let parse = |text: &String| {
            text.parse().map_err(|_| misuse(format!("{function}: `{key}`: `{text}` is no IP address")))
        };
        texts(function, value)?.iter().map(parse).collect()
    };
    let (gateways, nameservers) = (ips("gateway")?, ips("nameservers")?);
    let Some(value) = options.value("address") else {
        if gateways.is_empty() && nameservers.is_empty() {
            return Ok(Addressing::Inherit);
        }
        return Err(misuse(format!("{function}: `gateway` and `nameservers` need an `address`")));
    };
    let mut set = Addresses { gateways, nameservers, ..Addresses::default() };
    for text in texts(function, value)? {
        match text.as_str() {
            "none" => return Ok(Addressing::None),
            "dhcp" => set.dhcp4 = true,
            "auto" => set.auto6 = true,
            text => set.addresses.push(text.parse().map_err(|_| {
                misuse(format!(
                    "{function}: `address`: `{text}` is no address with its prefix, such as 192.0.2.11/24"
                ))
            })?),
        }
    }
    Ok(Addressing::Set(set))
}

fn link_of(function: &'static str, spec: &Dynamic) -> Outcome<Link> {
    let Some(map) = spec.clone().try_cast::<Map>() else {
        return Err(misuse(format!("{function} takes maps, not {}", type_word(spec))));
    };
    let kind = map.get("kind").and_then(|kind| kind.clone().into_string().ok()).unwrap_or_default();
    let known = match kind.as_str() {
        "bond" => &keys::BOND,
        "bridge" => &keys::BRIDGE,
        _ => return Err(misuse(format!("{function}: `kind` must be \"bond\" or \"bridge\""))),
    };
    let options = Options::new(known, map)?;
    let need = |key: &'static str| {
        options.text(key)?.ok_or_else(|| misuse(format!("{function}: `{key}` is missing")))
    };
    let name = name_of(function, &need("name")?)?;
    let mtu = number(function, &options, "mtu")?;
    let address = addresses(function, &options)?;
    if kind == "bridge" {
        return Ok(Link::Bridge(Bridge {
            name,
            ports: names_of(function, options.value("ports"))?,
            vlan: number(function, &options, "vlan")?,
            stp: options.flag("stp")?,
            forward_delay: number(function, &options, "forward_delay")?.unwrap_or(0),
            mtu,
            address,
        }));
    }
    let mode = need("mode")?.parse().map_err(|error| misuse(format!("{function}: {error}")))?;
    let word = |key: &'static str, words: &[&str]| -> Outcome<Option<String>> {
        let Some(text) = options.text(key)? else { return Ok(None) };
        if words.contains(&text.as_str()) {
            return Ok(Some(text));
        }
        Err(misuse(format!("{function}: `{key}` is one of {}, not `{text}`", words.join(", "))))
    };
    let primary = options.text("primary")?.map(|text| name_of(function, &text)).transpose()?;
    let mode: crate::model::BondMode = mode;
    if primary.is_some() && !mode.has_primary() {
        return Err(misuse(format!("{function}: a bond in mode {} has no `primary`", mode.word())));
    }
    // bonding.rst: "Bonding Driver Options".
    let policies = ["layer2", "layer2+3", "layer3+4", "encap2+3", "encap3+4", "vlan+srcmac"];
    let xmit_hash_policy = word("xmit_hash_policy", &policies)?;
    if xmit_hash_policy.is_some() && !mode.has_hash_policy() {
        return Err(misuse(format!("{function}: a bond in mode {} has no `xmit_hash_policy`", mode.word())));
    }
    let lacp_rate = word("lacp_rate", &["slow", "fast"])?;
    if lacp_rate.is_some() && mode != crate::model::BondMode::Lacp {
        return Err(misuse(format!("{function}: only a bond in mode 802.3ad has a `lacp_rate`")));
    }
    Ok(Link::Bond(Bond {
        name,
        slaves: names_of(function, options.value("slaves"))?,
        mode,
        miimon: number(function, &options, "miimon")?.unwrap_or(100),
        primary,
        lacp_rate,
        xmit_hash_policy,
        mtu,
        address,
    }))
}

fn link_options(known: &'static Keys, options: Map) -> Outcome<LinkOptions> {
    let function = known.function;
    let options = Options::new(known, options)?;
    let mut wanted = LinkOptions { force: options.flag("force")?, ..LinkOptions::default() };
    if let Some(time) = options.seconds("confirm_within")? {
        let (least, most) = CONFIRM_WITHIN;
        if !(least..=most).contains(&time) {
            let (least, most) = (least.as_secs(), most.as_secs());
            return Err(misuse(format!("{function}: `confirm_within` is {least} to {most} seconds")));
        }
        wanted.transaction.confirm_within = Duration::from_secs(time.as_secs());
        wanted.transaction.settle_within = wanted.transaction.settle_within.min(time / 2);
    }
    Ok(wanted)
}

fn report_map(report: &Report) -> Map {
    let seconds = |time: Duration| Dynamic::from((time.as_secs_f64() * 10.0).round() / 10.0);
    Map::from([
        ("changed".into(), report.changed.into()),
        ("seconds".into(), seconds(report.took)),
        ("unreachable".into(), seconds(report.silent)),
        ("checked".into(), report.checked.clone().into()),
        (
            "notes".into(),
            report.notes.iter().map(|note| Dynamic::from(note.clone())).collect::<Array>().into(),
        ),
    ])
}

fn argv_of(function: &str, command: &Dynamic) -> Outcome<Vec<String>> {
    if let Some(line) = command.read_lock::<ImmutableString>() {
        return Ok(vec!["sh".into(), "-c".into(), line.to_string()]);
    }
    let argv = texts(function, command)?;
    if argv.is_empty() {
        Err(misuse(format!("{function}: the array has no program in it")))
    } else {
        Ok(argv)
    }
}

fn text_or_nothing(text: Option<&str>) -> Dynamic {
    text.filter(|text| !text.is_empty()).map_or(Dynamic::UNIT, |text| text.to_owned().into())
}

#[export_module(manifest)]
pub(super) mod functions {
    /// A change of a host's network under construction, as `network_transaction` hands it to its function.
    pub type Transaction = super::Transaction;

    /// The network interfaces of the host, over SSH: cards, bonds, bridges, VLANs and the guests' taps.
    ///
    /// An array of maps with `name`, `kind` (`card`, `bond`, `bridge`, `vlan`, `tun`, …), `up`, `carrier` (whether there is a
    /// link), `mac`, `mtu` (bytes), `addresses`, `master` (the bond or bridge it is in) and `mode` (of a bond).
    ///
    /// Errors: faults of the connection; `probe_failed`.
    ///
    /// Example: `host("test:///default").links.filter(|link| link.up)`
    #[rhai_fn(get = "links", return_raw, pure)]
    pub fn links(host: &mut Host) -> Outcome<Array> {
        let look = host.look_at_network()?;
        let map = |link: &net::LinkState| {
            let addresses = look.addresses_of(&link.name).map(|address| address.net.to_string());
            let kind = if link.medium == "loopback" {
                "loopback"
            } else if link.kind.is_empty() {
                "card"
            } else {
                &link.kind
            };
            Map::from([
                ("name".into(), link.name.clone().into()),
                ("kind".into(), kind.into()),
                ("up".into(), link.up.into()),
                ("carrier".into(), link.carrier.into()),
                ("mac".into(), link.mac.clone().into()),
                ("mtu".into(), int(u64::from(link.mtu)).into()),
                ("addresses".into(), array(addresses).into()),
                ("master".into(), text_or_nothing(link.master.as_deref())),
                ("mode".into(), text_or_nothing(link.bond_mode.as_deref())),
                ("active".into(), text_or_nothing(link.active_slave.as_deref())),
            ])
        };
        Ok(array(look.links.iter().map(map)))
    }

    /// The interface that leads to the host, and what looks after it.
    ///
    /// `#{name, address, gateway, owner}`; `owner` is `ifupdown` or `netplan`.
    ///
    /// Errors: `network_owner` when it is looked after by something that kvmsh does not write files for, or by more than
    /// one, with what was found.
    ///
    /// Example: `try { host("test:///default").uplink.name } catch (e) { e.code }`
    #[rhai_fn(get = "uplink", return_raw, pure)]
    pub fn uplink(host: &mut Host) -> Outcome<Map> {
        let look = host.look_at_network()?;
        let owner = net::owner(&look).map_err(|fault| fault.on_host(host.name()))?;
        let gateway = look.gateways.iter().find(|(link, _)| *link == look.main);
        let address = look.main_address.or_else(|| Some(look.addresses_of(&look.main).next()?.net.addr()));
        Ok(Map::from([
            ("name".into(), look.main.clone().into()),
            ("address".into(), text_or_nothing(address.map(|a| a.to_string()).as_deref())),
            ("gateway".into(), text_or_nothing(gateway.map(|(_, g)| g.to_string()).as_deref())),
            ("owner".into(), owner.word().into()),
        ]))
    }

    /// Sets up bonds and bridges on the host, all of them in one transaction; what is as wanted is left alone.
    ///
    /// Each is a map. A bond: `kind: "bond"`, `name`, `slaves`, `mode`, `miimon` (ms, 100), `primary`, `lacp_rate`,
    /// `xmit_hash_policy`, `mtu` (bytes). A bridge: `kind: "bridge"`, `name`, `ports`, `vlan`, `stp` (`false`),
    /// `forward_delay` (seconds, 0), `mtu`. Both: `address` (`"192.0.2.11/24"`, `"dhcp"`, `"auto"` for IPv6 from a router,
    /// `"none"`, or an array of these; left out: what the ports have), `gateway`, `nameservers`.
    ///
    /// The host undoes the change by itself, also after a power cut, unless a new SSH connection has found everything
    /// in order. `std/bond` and `std/bridge` know good defaults.
    ///
    /// Returns `#{changed, seconds, unreachable, checked, notes}`; `notes` say what works and could be better.
    ///
    /// Errors: `network_owner`, `network_refused`, `network_file`, `network_address_taken`, `network_pending`, `same_identity`
    /// (exit 4, nothing touched); `network_undone` (a check failed, everything is as before); `network_lost`.
    ///
    /// Example: `try { plan(|| host("test:///default").set_links([#{kind: "bridge", name: "br0", ports: ["eth0"]}])) } catch (e) { e.code }`
    #[rhai_fn(name = "set_links", return_raw, pure)]
    pub fn set_links(ctx: NativeCallContext<'_>, host: &mut Host, links: Array) -> Outcome<Map> {
        set_links_with(ctx, host, links, Map::new())
    }

    /// As `set_links(links)`, with options.
    ///
    /// Example: `try { plan(|| host("test:///default").set_links([], #{confirm_within: 60})) } catch (e) { e.code }`
    #[rhai_fn(name = "set_links", return_raw, pure)]
    pub fn set_links_with(
        ctx: NativeCallContext<'_>,
        host: &mut Host,
        links: Array,
        options: Map,
    ) -> Outcome<Map> {
        let options = link_options(&keys::SET_LINKS, options)?;
        let links: Vec<Link> = links.iter().map(|spec| link_of("set_links", spec)).collect::<Outcome<_>>()?;
        Ok(report_map(&at(&ctx, || host.set_links(&links, &options))?))
    }

    /// Takes back bonds and bridges that were set up with kvmsh, from the top down: `["br0", "bond0"]`.
    ///
    /// The files become what they were, byte for byte; what others have changed in them since is kept. Those that are not
    /// there are left alone.
    ///
    /// Errors: as `set_links`; `network_refused` when a guest or another link is on one, or kvmsh has not set it up.
    ///
    /// Example: `try { plan(|| host("test:///default").remove_links(["br0"])) } catch (e) { e.code }`
    #[rhai_fn(name = "remove_links", return_raw, pure)]
    pub fn remove_links(ctx: NativeCallContext<'_>, host: &mut Host, names: Dynamic) -> Outcome<Map> {
        remove_links_with(ctx, host, names, Map::new())
    }

    /// As `remove_links(names)`, with options.
    ///
    /// Example: `try { plan(|| host("test:///default").remove_links(["br0"], #{force: true})) } catch (e) { e.code }`
    #[rhai_fn(name = "remove_links", return_raw, pure)]
    pub fn remove_links_with(
        ctx: NativeCallContext<'_>,
        host: &mut Host,
        names: Dynamic,
        options: Map,
    ) -> Outcome<Map> {
        let options = link_options(&keys::REMOVE_LINKS, options)?;
        let names =
            names_of("remove_links", Some(&names))?.iter().map(ToString::to_string).collect::<Vec<_>>();
        Ok(report_map(&at(&ctx, || host.remove_links(&names, &options))?))
    }

    /// Changes files and runs commands on the host so that it undoes all of it by itself unless the change is confirmed.
    ///
    /// `f` gets a Transaction and says what to do with `write`, `remove`, `before`, `run`, `undo_first`, `undo` and `expect`; nothing
    /// is done before it returns. Confirmed is what a new SSH connection finds in order: host key, machine-id, addresses,
    /// default routes, gateways that answered before, cables, and what `expect` names.
    ///
    /// Errors: as `set_links`.
    ///
    /// Example: `try { plan(|| host("test:///default").network_transaction(#{}, |t| { t.run("true"); })) } catch (e) { e.code }`
    #[rhai_fn(name = "network_transaction", return_raw, pure)]
    pub fn network_transaction(
        ctx: NativeCallContext<'_>,
        host: &mut Host,
        options: Map,
        f: FnPtr,
    ) -> Outcome<Map> {
        let options = link_options(&keys::NETWORK_TRANSACTION, options)?;
        let transaction = super::Transaction::default();
        transaction.with(|custom| custom.title = "a script's change".to_owned());
        let _: Dynamic = f.call_within_context(&ctx, (transaction.clone(),))?;
        let custom = transaction.with(|custom| custom.clone());
        Ok(report_map(&at(&ctx, || host.change_network(&custom, &options))?))
    }

    /// Names the transaction, for the plan, the journal and progress.
    ///
    /// Example: `try { plan(|| host("test:///default").network_transaction(#{}, |t| { t.title("a larger MTU"); t.run("true"); })) } catch (e) { e.code }`
    #[rhai_fn(name = "title", pure)]
    pub fn title(transaction: &mut Transaction, title: &str) {
        transaction.with(|custom| custom.title = title.lines().next().unwrap_or_default().to_owned());
    }

    /// Replaces a file, which keeps its owner and mode, or makes it; undone, it is what it was, byte for byte.
    ///
    /// A new one has mode 0644; below `/etc/netplan` and `/etc/NetworkManager`, where secrets may be in it, 0600.
    ///
    /// Example: `try { plan(|| host("test:///default").network_transaction(#{}, |t| { t.write("/etc/example", "x\n"); })) } catch (e) { e.code }`
    #[rhai_fn(name = "write", return_raw, pure)]
    pub fn write(transaction: &mut Transaction, path: &str, text: &str) -> Outcome<()> {
        put_file(transaction, path, Some(text.as_bytes().to_vec()))
    }

    /// Removes a file; undone, it is there again.
    ///
    /// Example: `try { plan(|| host("test:///default").network_transaction(#{}, |t| { t.remove("/etc/example"); })) } catch (e) { e.code }`
    #[rhai_fn(name = "remove", return_raw, pure)]
    pub fn remove(transaction: &mut Transaction, path: &str) -> Outcome<()> {
        put_file(transaction, path, None)
    }

    /// Runs a command before the files are replaced: a line for `sh`, or an array of a program and its arguments.
    ///
    /// A status other than 0 undoes everything.
    ///
    /// Example: `try { plan(|| host("test:///default").network_transaction(#{}, |t| { t.before(["test", "-d", "/etc"]); })) } catch (e) { e.code }`
    #[rhai_fn(name = "before", return_raw, pure)]
    pub fn before(transaction: &mut Transaction, command: Dynamic) -> Outcome<()> {
        let argv = argv_of("before", &command)?;
        transaction.with(|custom| custom.before.push(argv));
        Ok(())
    }

    /// Runs a command after the files were replaced: a line for `sh`, or an array of a program and its arguments.
    ///
    /// A status other than 0 undoes everything.
    ///
    /// Example: `try { plan(|| host("test:///default").network_transaction(#{}, |t| { t.run(["sysctl", "--system"]); })) } catch (e) { e.code }`
    #[rhai_fn(name = "run", return_raw, pure)]
    pub fn run_after(transaction: &mut Transaction, command: Dynamic) -> Outcome<()> {
        let argv = argv_of("run", &command)?;
        transaction.with(|custom| custom.run.push(argv));
        Ok(())
    }

    /// Runs a command when the change is undone, while the new files are still in place: `ifdown` needs them.
    ///
    /// Example: `try { plan(|| host("test:///default").network_transaction(#{}, |t| { t.undo_first(["true"]); t.run("true"); })) } catch (e) { e.code }`
    #[rhai_fn(name = "undo_first", return_raw, pure)]
    pub fn undo_first(transaction: &mut Transaction, command: Dynamic) -> Outcome<()> {
        let argv = argv_of("undo_first", &command)?;
        transaction.with(|custom| custom.undo_first.push(argv));
        Ok(())
    }

    /// Runs a command when the change is undone, after the files are back.
    ///
    /// Example: `try { plan(|| host("test:///default").network_transaction(#{}, |t| { t.undo(["sysctl", "--system"]); })) } catch (e) { e.code }`
    #[rhai_fn(name = "undo", return_raw, pure)]
    pub fn undo(transaction: &mut Transaction, command: Dynamic) -> Outcome<()> {
        let argv = argv_of("undo", &command)?;
        transaction.with(|custom| custom.undo.push(argv));
        Ok(())
    }

    /// Says what must be true before the change is confirmed.
    ///
    /// Example: `try { plan(|| host("test:///default").network_transaction(#{}, |t| { t.expect(#{carrier: ["eth0"]}); })) } catch (e) { e.code }`
    #[rhai_fn(name = "expect", return_raw, pure)]
    pub fn expect(transaction: &mut Transaction, what: Map) -> Outcome<()> {
        let what = Options::new(&keys::EXPECT, what)?;
        let list = |key: &'static str| what.value(key).map_or(Ok(Vec::new()), |value| texts("expect", value));
        let bad = |text: &str, kind: &str| misuse(format!("expect: `{text}` is no {kind}"));
        let mut nets = Vec::new();
        for text in list("address")? {
            nets.push((None, text.parse().map_err(|_| bad(&text, "address with its prefix"))?));
        }
        let mut gateways: Vec<IpAddr> = Vec::new();
        for text in list("gateway")? {
            gateways.push(text.parse().map_err(|_| bad(&text, "IP address"))?);
        }
        let links = |key: &'static str| -> Outcome<Vec<String>> {
            Ok(names_of("expect", what.value(key))?.iter().map(ToString::to_string).collect())
        };
        let (carriers, makes, gone) = (links("carrier")?, links("makes")?, links("gone")?);
        transaction.with(|custom| {
            custom.expect.addresses.extend(nets);
            custom.expect.gateways.extend(gateways.iter().map(|gateway| (None, *gateway)));
            custom.expect.answering.extend(gateways);
            custom.expect.carriers.extend(carriers);
            custom.expect.gone.extend(gone);
            custom.links.extend(makes);
        });
        Ok(())
    }
}

fn put_file(transaction: &Transaction, path: &str, text: Option<Vec<u8>>) -> Outcome<()> {
    if !path.starts_with('/') || path.contains(['\n', '\0']) {
        return Err(Fault::new(
            "bad_path",
            format!("a transaction's file has an absolute path, not {path:?}"),
        )
        .into());
    }
    transaction.with(|custom| {
        custom.files.retain(|(known, _, _)| known != path);
        let secret = ["/etc/netplan/", "/etc/NetworkManager/"].iter().any(|place| path.starts_with(place));
        custom.files.push((path.to_owned(), text, if secret { "600" } else { "644" }.to_owned()));
    });
    Ok(())
}
