//! Numbers that are amounts of memory or storage: each carries its unit to where it is shown, in the tag that Rhai
//! keeps beside a value. The tag depends on the number as well: what a script has made of it in place is a number
//! whose unit nobody knows.

use rhai::{Array, Dynamic, Map};

use crate::model::{Bytes, Units};

/// What a function returns that returns a number of bytes with its unit.
pub(super) type Size = Dynamic;

/// How many bytes a number counts by.
const UNITS: [u64; 2] = [1, 1024];

/// A number of bytes.
pub(super) fn bytes(bytes: Bytes) -> Dynamic {
    counted(i64::try_from(bytes.0).unwrap_or(i64::MAX), 1)
}

/// One of libvirt's figures, whose unit its documentation tells by the name (virConnectGetAllDomainStats).
pub(super) fn figure(name: &str, value: Dynamic) -> Dynamic {
    let last = name.rsplit('.').next().unwrap_or_default();
    let unit = match name.split('.').next() {
        Some("balloon") if BALLOON.contains(&last) => 1024,
        Some("block") if matches!(last, "allocation" | "capacity" | "physical" | "bytes") => 1,
        Some("net") if last == "bytes" => 1,
        _ => return value,
    };
    value.as_int().map_or(value, |number| counted(number, unit))
}

const BALLOON: &[&str] =
    &["current", "maximum", "swap_in", "swap_out", "unused", "available", "usable", "rss", "disk_caches"];

fn counted(number: i64, unit: u64) -> Dynamic {
    let mut value = Dynamic::from(number);
    value.set_tag(mark(number, unit) as _);
    value
}

fn mark(number: i64, unit: u64) -> i16 {
    let mixed = (number as u64 ^ unit.rotate_right(8)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // 0 is the tag of a value that has none.
    ((mixed >> 48) as i16).max(1)
}

/// The unit of a number, where it has one.
pub(super) fn unit(value: &Dynamic) -> Option<u64> {
    let number = value.as_int().ok().filter(|_| value.tag() != 0)?;
    UNITS.into_iter().find(|unit| i64::from(mark(number, *unit)) == i64::from(value.tag()))
}

/// Where in a value numbers with units are.
pub(super) fn units(value: &Dynamic) -> Units {
    let mut found = Units::new();
    search(value, &mut String::new(), &mut found);
    found
}

fn search(value: &Dynamic, path: &mut String, found: &mut Units) {
    let mut enter = |step: &str, inner: &Dynamic| {
        let before = path.len();
        crate::model::data::step_into(path, step);
        search(inner, path, found);
        path.truncate(before);
    };
    if let Some(map) = value.read_lock::<Map>() {
        map.iter().for_each(|(key, inner)| enter(key, inner));
    } else if let Some(array) = value.read_lock::<Array>() {
        array.iter().enumerate().for_each(|(at, inner)| enter(&at.to_string(), inner));
    } else if let Some(unit) = unit(value).filter(|_| !path.is_empty()) {
        found.insert(path.clone(), unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhai::{Engine, Scope};

    #[test]
    fn a_unit_stays_with_its_number_and_leaves_with_what_is_made_of_it() {
        let engine = Engine::new();
        let mut scope = Scope::new();
        scope.push("m", Map::from([("total".into(), bytes(Bytes(3 << 30))), ("cpus".into(), 4_i64.into())]));
        scope.push_dynamic("kib", figure("balloon.current", 2048_i64.into()));
        let mut of = |code: &str| unit(&engine.eval_with_scope::<Dynamic>(&mut scope, code).unwrap());
        assert_eq!(of("m.total"), Some(1));
        assert_eq!(of("let x = m.total; [x][0]"), Some(1));
        assert_eq!(of("kib"), Some(1024));
        for none in
            ["m.cpus", "m.total / 1024", "m.total + 1", "let x = m.total; x /= 1024; x", "m.total > 3", "1"]
        {
            assert_eq!(of(none), None, "{none}");
        }
        let all = engine.eval_with_scope::<Dynamic>(&mut scope, "#{a: [1, m], \"b/c\": kib}").unwrap();
        let found = units(&all);
        assert_eq!((found.len(), found["/a/1/total"], found["/b~1c"]), (2, 1, 1024));
        assert_eq!(unit(&figure("net.0.rx.pkts", 7_i64.into())), None);
    }
}
