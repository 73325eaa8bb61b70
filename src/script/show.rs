//! From script values to what people and programs get.

use std::time::Duration;

use rhai::{Array, Blob, Dynamic, ImmutableString, Map};
use serde_json::Value as Json;

use super::error::ScriptFault;
use super::tables::{objects, table};
use super::{hosts, sizes, tables};
use crate::libvirt::Value;
use crate::model::{Branch, Cell, Data, Disk, Fault, JobStats, MigrateReport, Nic, Table, Units};
use crate::ops::Host;

/// What is printed for a value.
pub(super) fn data(value: &Dynamic) -> Data {
    if value.is_unit() {
        return Data::Nothing;
    }
    if let Some(table) = value.read_lock::<Table>() {
        return Data::Table(table.clone());
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Data::Text(text.to_string());
    }
    if let Some(trees) = trees(value) {
        return Data::Outline(trees);
    }
    if value.is_array()
        && let Some(table) = table(value)
    {
        return Data::Table(table);
    }
    if let Some(table) = object(value) {
        return Data::Object(table);
    }
    let units = sizes::units(value);
    match units.is_empty() {
        true => Data::Tree(json(value)),
        false => Data::Measured(json(value), units),
    }
}

/// How long a table of hosts at the prompt waits for those that do not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is printed for a value at the prompt: as [`data`], but no host keeps the others waiting, and a number that is an
/// amount of memory or storage has its unit beside it.
pub(super) fn data_at_prompt(value: &Dynamic) -> Data {
    let within = |items: &[Dynamic]| tables::hosts_within(items, PATIENCE);
    if let Some(table) = value.read_lock::<Array>().and_then(|array| within(&array)) {
        return Data::Table(hosts::without_why(table));
    }
    if let Some(table) = within(std::slice::from_ref(value)) {
        return Data::Object(table);
    }
    match sizes::unit(value) {
        Some(unit) => Data::Measured(json(value), Units::from([(String::new(), unit)])),
        None => data(value),
    }
}

/// One object as a table of one row.
fn object(value: &Dynamic) -> Option<Table> {
    match value.read_lock::<Host>() {
        Some(host) => Some(hosts::table(std::slice::from_ref(&host))),
        None => objects(std::slice::from_ref(value)).filter(|table| !table.rows.is_empty()),
    }
}

/// A tree, or an array of nothing but trees.
fn trees(value: &Dynamic) -> Option<Vec<Branch>> {
    if let Some(tree) = value.read_lock::<Branch>() {
        return Some(vec![tree.clone()]);
    }
    let array = value.read_lock::<Array>().filter(|array| !array.is_empty())?;
    array.iter().map(|item| item.read_lock::<Branch>().map(|tree| tree.clone())).collect()
}

/// A value for programs.
pub(super) fn json(value: &Dynamic) -> Json {
    if value.is_unit() {
        return Json::Null;
    }
    if let Ok(flag) = value.as_bool() {
        return Json::from(flag);
    }
    if let Ok(number) = value.as_int() {
        return Json::from(number);
    }
    if let Ok(number) = value.as_float() {
        return Json::from(number);
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Json::from(text.as_str());
    }
    if let Some(tree) = value.read_lock::<Branch>() {
        return tree.to_json();
    }
    if let Some(table) = table(value) {
        return rows_json(&table);
    }
    if let Some(array) = value.read_lock::<Array>() {
        return array.iter().map(json).collect();
    }
    if let Some(map) = value.read_lock::<Map>() {
        return Json::Object(map.iter().map(|(key, value)| (key.to_string(), json(value))).collect());
    }
    if let Some(blob) = value.read_lock::<Blob>() {
        return String::from_utf8_lossy(&blob).into();
    }
    if let Some(table) = object(value) {
        return match rows_json(&table) {
            Json::Array(mut rows) if rows.len() == 1 => rows.remove(0),
            other => other,
        };
    }
    Json::from(value.to_string())
}

fn rows_json(table: &Table) -> Json {
    let row = |row: &Vec<Cell>| {
        let pairs = table.columns.iter().zip(row).map(|(column, cell)| (column.key.clone(), cell.to_json()));
        Json::Object(pairs.collect())
    };
    table.rows.iter().map(row).collect()
}

/// A Rust value as a script value.
pub(super) fn from_serde<T: serde::Serialize>(value: &T) -> Result<Dynamic, Fault> {
    rhai::serde::to_dynamic(value).map_err(|error| Fault::new("defect", error.to_string()))
}

/// One of libvirt's typed parameters.
pub(super) fn param(value: &Value) -> Dynamic {
    match value {
        Value::Int(number) => (*number).into(),
        Value::UInt(number) => i64::try_from(*number).unwrap_or(i64::MAX).into(),
        Value::Double(number) => (*number).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Text(text) => text.clone().into(),
    }
}

fn seconds(time: std::time::Duration) -> Dynamic {
    time.as_secs_f64().into()
}

fn maybe<T>(value: Option<T>, dynamic: impl FnOnce(T) -> Dynamic) -> Dynamic {
    value.map_or(Dynamic::UNIT, dynamic)
}

/// A job's figures.
pub(super) fn job(job: &JobStats) -> Map {
    Map::from([
        ("kind".into(), job.kind.clone().into()),
        ("operation".into(), job.operation.clone().into()),
        ("elapsed".into(), seconds(job.elapsed)),
        ("remaining".into(), maybe(job.remaining, seconds)),
        ("downtime".into(), maybe(job.downtime, seconds)),
        ("total".into(), sizes::bytes(job.data_total)),
        ("processed".into(), sizes::bytes(job.data_processed)),
        ("left".into(), sizes::bytes(job.data_remaining)),
        ("rate".into(), sizes::bytes(job.memory_rate)),
        ("dirty_rate".into(), maybe(job.dirty_rate, sizes::bytes)),
        ("iteration".into(), i64::try_from(job.iteration).unwrap_or(i64::MAX).into()),
        ("throttle".into(), i64::try_from(job.throttle).unwrap_or(i64::MAX).into()),
    ])
}

/// How a move ended.
pub(super) fn report(report: &MigrateReport) -> Dynamic {
    let millis = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX).into();
    Dynamic::from(Map::from([
        ("domain".into(), report.domain.clone().into()),
        ("source".into(), report.source.clone().into()),
        ("target".into(), report.target.clone().into()),
        ("verdict".into(), report.verdict.word().into()),
        ("live".into(), report.live.into()),
        ("seconds".into(), seconds(report.elapsed)),
        ("bytes".into(), sizes::bytes(report.bytes)),
        ("downtime_ms".into(), maybe(report.downtime, millis)),
        ("error".into(), maybe(report.error.clone(), |fault| Dynamic::from(ScriptFault { fault }))),
    ]))
}

/// A disk.
pub(super) fn disk(disk: &Disk) -> Dynamic {
    Dynamic::from(Map::from([
        ("target".into(), disk.target.clone().into()),
        ("device".into(), disk.device.clone().into()),
        ("type".into(), disk.kind.clone().into()),
        ("source".into(), disk.source.clone().into()),
        ("format".into(), disk.format.clone().into()),
        ("cache".into(), disk.cache.clone().into()),
        ("read_only".into(), disk.read_only.into()),
    ]))
}

/// A network card.
pub(super) fn nic(nic: &Nic) -> Dynamic {
    Dynamic::from(Map::from([
        ("mac".into(), nic.mac.clone().into()),
        ("type".into(), nic.kind.clone().into()),
        ("source".into(), nic.source.clone().into()),
        ("model".into(), nic.model.clone().into()),
        ("device".into(), nic.device.clone().into()),
    ]))
}
