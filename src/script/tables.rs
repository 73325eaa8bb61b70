//! Objects as tables: which columns matter, in which order, asked for in bulk.

use std::collections::HashMap;

use rhai::{Array, Dynamic, Map};
use serde_json::Value as Json;

use super::error::ScriptFault;
pub(super) use super::hosts::within as hosts_within;
use super::show::json;
use super::{hosts, sizes};
use crate::model::{Bytes, Cell, Class, DomainRow, Table, Tone};
use crate::ops::migrate::Move;
use crate::ops::{Cpu, Domain, Host, Network, Pool, Volume};

/// An array of objects of one type, or of maps, as a table.
pub(super) fn table(value: &Dynamic) -> Option<Table> {
    if let Some(table) = value.read_lock::<Table>() {
        return Some(table.clone());
    }
    let array = value.read_lock::<Array>()?;
    if array.is_empty() {
        return None;
    }
    objects(&array).or_else(|| maps(&array))
}

pub(super) fn all<T: Clone + Send + Sync + 'static>(items: &[Dynamic]) -> Option<Vec<T>> {
    items.iter().map(|item| item.read_lock::<T>().map(|item| item.clone())).collect()
}

pub(super) fn objects(items: &[Dynamic]) -> Option<Table> {
    if let Some(hosts) = all::<Host>(items) {
        return Some(hosts::without_why(hosts::table(&hosts)));
    }
    if let Some(domains) = all::<Domain>(items) {
        return Some(domain_table(&domains));
    }
    if let Some(pools) = all::<Pool>(items) {
        return Some(pool_table(&pools));
    }
    if let Some(volumes) = all::<Volume>(items) {
        return Some(volume_table(&volumes));
    }
    if let Some(networks) = all::<Network>(items) {
        return Some(network_table(&networks));
    }
    if let Some(cpus) = all::<Cpu>(items) {
        return Some(cpu_table(&cpus));
    }
    if let Some(moves) = all::<Move>(items) {
        return Some(move_table(&moves));
    }
    all::<ScriptFault>(items).map(|faults| fault_table(&faults))
}

pub(super) fn text(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

fn or_nothing<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell) -> Cell {
    value.map_or(Cell::Nothing, cell)
}

pub(super) fn number(value: u64) -> Cell {
    Cell::Number(i64::try_from(value).unwrap_or(i64::MAX))
}

/// One round trip per host, not one per domain.
fn domain_table(domains: &[Domain]) -> Table {
    let mut table = Table::with_columns(["name", "state", "memory", "vcpus", "host"]);
    // Of a host that does not answer nothing is known.
    let mut known: HashMap<String, Result<HashMap<String, DomainRow>, Class>> = HashMap::new();
    for domain in domains {
        known.entry(domain.host().name().to_owned()).or_insert_with(|| {
            let rows = domain.host().domain_rows().map_err(|fault| fault.class)?;
            Ok(rows.into_iter().map(|row| (row.name.clone(), row)).collect())
        });
    }
    let several = known.len() > 1;
    table.rows = domains
        .iter()
        .map(|domain| {
            let rows = known.get(domain.host().name());
            let row = rows.and_then(|rows| rows.as_ref().ok()?.get(domain.name()));
            let state = state(row, rows.and_then(|rows| rows.as_ref().err()));
            vec![
                text(domain.name()),
                state,
                or_nothing(row.and_then(|row| row.max_memory), Cell::Bytes),
                or_nothing(row.and_then(|row| row.vcpus), number),
                text(domain.host().name()),
            ]
        })
        .collect();
    if several { table.with_last_kept(&["name", "state", "host", "memory", "vcpus"]) } else { table }
}

/// A guest's state; `silent`: what kept its host from saying it.
fn state(row: Option<&DomainRow>, silent: Option<&Class>) -> Cell {
    let (word, tone) = match (row, silent) {
        (Some(row), _) => (row.state.word(), row.state.tone()),
        (None, Some(Class::Connect | Class::TimedOut)) => ("unreachable", Tone::Warn),
        (None, Some(_)) => ("unknown", Tone::Warn),
        (None, None) => ("gone", Tone::Bad),
    };
    Cell::State(word.into(), tone)
}

fn pool_table(pools: &[Pool]) -> Table {
    let mut table =
        Table::with_columns(["name", "state", "type", "capacity", "available", "autostart", "path", "host"])
            .with_last_kept(&["name", "state", "available", "capacity", "host", "type", "path", "autostart"]);
    table.rows = pools
        .iter()
        .map(|pool| {
            let info = pool.info().ok();
            let (kind, path) = pool.type_and_path().unwrap_or_default();
            let tone = |state: &str| match state {
                "running" => Tone::Good,
                "inactive" => Tone::Idle,
                "building" => Tone::Warn,
                _ => Tone::Bad,
            };
            // An inactive pool has no sizes, and libvirt says 0.
            let sizes = info.as_ref().filter(|info| info.state != "inactive");
            vec![
                text(pool.name()),
                or_nothing(info.as_ref(), |info| Cell::State(info.state.into(), tone(info.state))),
                text(kind),
                or_nothing(sizes, |info| Cell::Bytes(info.capacity)),
                or_nothing(sizes, |info| Cell::Bytes(info.available)),
                or_nothing(pool.autostart().ok(), Cell::Flag),
                text(path),
                text(pool.host().name()),
            ]
        })
        .collect();
    table
}

fn volume_table(volumes: &[Volume]) -> Table {
    let mut table = Table::with_columns(["name", "capacity", "allocation", "format", "path"]);
    table.rows = volumes
        .iter()
        .map(|volume| {
            let info = volume.info().ok();
            vec![
                text(volume.name()),
                or_nothing(info.as_ref(), |info| Cell::Bytes(info.capacity)),
                or_nothing(info.as_ref(), |info| Cell::Bytes(info.allocation)),
                text(volume.format().unwrap_or_default()),
                text(volume.path().unwrap_or_default()),
            ]
        })
        .collect();
    table
}

fn network_table(networks: &[Network]) -> Table {
    let mut table = Table::with_columns(["name", "state", "bridge", "autostart", "host"]);
    table.rows = networks
        .iter()
        .map(|network| {
            let state = network.is_active().ok().map(|active| {
                if active {
                    Cell::State("active".into(), Tone::Good)
                } else {
                    Cell::State("inactive".into(), Tone::Idle)
                }
            });
            vec![
                text(network.name()),
                state.unwrap_or(Cell::Nothing),
                text(network.bridge().unwrap_or_default()),
                or_nothing(network.autostart().ok(), Cell::Flag),
                text(network.host().name()),
            ]
        })
        .collect();
    table
}

fn cpu_table(cpus: &[Cpu]) -> Table {
    let mut table = Table::with_columns(["host", "model", "vendor", "arch", "topology", "features"]);
    table.rows = cpus
        .iter()
        .map(|cpu| match cpu.info() {
            Ok(info) => {
                let [sockets, dies, cores, threads] = info.topology;
                vec![
                    text(cpu.host().name()),
                    text(&info.model),
                    text(&info.vendor),
                    text(&info.arch),
                    text(format!("{sockets} × {dies} × {cores} × {threads}")),
                    number(info.features.len() as u64),
                ]
            }
            Err(_) => {
                let mut row = vec![text(cpu.host().name())];
                row.resize(6, Cell::Nothing);
                row
            }
        })
        .collect();
    table
}

fn move_table(moves: &[Move]) -> Table {
    let mut table = Table::with_columns(["domain", "from", "to", "memory", "how", "why"]);
    table.rows = moves
        .iter()
        .map(|one| {
            vec![
                text(one.domain.name()),
                text(one.domain.host().name()),
                text(one.target.name()),
                Cell::Bytes(one.memory),
                text(if one.live { "live" } else { "definition" }),
                text(&one.why),
            ]
        })
        .collect();
    table
}

fn fault_table(faults: &[ScriptFault]) -> Table {
    let mut table = Table::with_columns(["code", "host", "object", "message", "hint"]);
    table.rows = faults
        .iter()
        .map(|error| {
            let fault = &error.fault;
            vec![
                text(&fault.code),
                or_nothing(fault.host.as_ref(), text),
                or_nothing(fault.object.as_ref(), text),
                text(fault.to_string()),
                or_nothing(fault.hint.as_ref(), text),
            ]
        })
        .collect();
    table
}

/// Maps become rows; the columns are all keys, in the order in which they first appear.
/// Columns that stand first, in this order: a narrow terminal shows no others.
const FIRST: &[&str] = &[
    "name", "host", "domain", "guest", "target", "device", "kind", "type", "state", "up", "ok", "value",
    "source", "format",
];

fn maps(items: &[Dynamic]) -> Option<Table> {
    let maps = all::<Map>(items)?;
    let mut keys: Vec<String> = Vec::new();
    for map in &maps {
        for key in map.keys() {
            if !keys.iter().any(|known| known == key.as_str()) {
                keys.push(key.to_string());
            }
        }
    }
    // Rhai sorts the keys of maps. What something is called is worth more than what begins with an `a`.
    keys.sort_by_key(|key| FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()));
    let mut table = Table::with_columns(keys.clone());
    table.rows = maps
        .iter()
        .map(|map| keys.iter().map(|key| map.get(key.as_str()).map_or(Cell::Nothing, cell)).collect())
        .collect();
    Some(table)
}

fn cell(value: &Dynamic) -> Cell {
    if value.is_unit() {
        return Cell::Nothing;
    }
    if let Ok(flag) = value.as_bool() {
        return Cell::Flag(flag);
    }
    if let Ok(number) = value.as_int() {
        // In KiB it stays a number: programs get what the map has.
        let bytes = u64::try_from(number).ok().filter(|_| sizes::unit(value) == Some(1));
        return bytes.map_or(Cell::Number(number), |bytes| Cell::Bytes(Bytes(bytes)));
    }
    if let Ok(number) = value.as_float() {
        return Cell::Decimal(number);
    }
    match json(value) {
        Json::String(text) => Cell::Text(text),
        other => Cell::Tree(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_gone_only_where_its_host_says_so() {
        let word = |silent: Option<Class>| match state(None, silent.as_ref()) {
            Cell::State(word, _) => word,
            other => panic!("{other:?}"),
        };
        assert_eq!(word(None), "gone");
        assert_eq!(word(Some(Class::Connect)), "unreachable");
        assert_eq!(word(Some(Class::Failed)), "unknown");
    }

    #[test]
    fn where_there_is_little_room_the_columns_that_tell_guests_and_disks_apart_are_first() {
        let disk =
            [("cache", ""), ("device", "disk"), ("format", "qcow2"), ("source", "/x"), ("target", "vda")];
        let disk: Map = disk.iter().map(|(key, text)| ((*key).into(), (*text).into())).collect();
        let table = maps(&[disk.into()]).unwrap();
        let keys: Vec<&str> = table.columns.iter().map(|column| column.key.as_str()).collect();
        assert_eq!(keys, ["target", "device", "source", "format", "cache"]);
    }
}
