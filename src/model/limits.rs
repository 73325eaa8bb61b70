//! How much a script may take.

use std::str::FromStr;

use super::Bytes;

/// Limits of scripts; what goes beyond is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one text.
    pub string: usize,
    /// Items of one array.
    pub array: usize,
    /// Entries of one map.
    pub map: usize,
    /// Calls within calls.
    pub depth: usize,
    /// Operations in all; 0 is no limit.
    pub operations: u64,
    /// Bytes that the whole process may hold: what no other limit bounds, such as a map that is only written to.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { string: 256 << 20, array: 1_000_000, map: 100_000, depth: 64, operations: 0, memory: 4 << 30 }
    }
}

impl Limits {
    /// With one of them changed.
    #[must_use]
    pub const fn with(mut self, one: Limit) -> Self {
        match one {
            Limit::String(n) => self.string = n,
            Limit::Array(n) => self.array = n,
            Limit::Map(n) => self.map = n,
            Limit::Depth(n) => self.depth = n,
            Limit::Operations(n) => self.operations = n,
            Limit::Memory(n) => self.memory = n,
        }
        self
    }
}

/// One limit, as `array=5000000` or `string=1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// See [`Limits::string`].
    String(usize),
    /// See [`Limits::array`].
    Array(usize),
    /// See [`Limits::map`].
    Map(usize),
    /// See [`Limits::depth`].
    Depth(usize),
    /// See [`Limits::operations`].
    Operations(u64),
    /// See [`Limits::memory`].
    Memory(u64),
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "`{text}` is no limit: write string=1GiB, array=N, map=N, depth=N, memory=8GiB or operations=N"
            )
        };
        let (name, value) = text.split_once('=').ok_or_else(bad)?;
        let count = || value.parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(bad);
        Ok(match name {
            "string" => {
                let size = value.parse::<Bytes>().map_err(|_| bad())?;
                Self::String(usize::try_from(size.0).ok().filter(|n| *n > 0).ok_or_else(bad)?)
            }
            "memory" => {
                let size = value.parse::<Bytes>().map_err(|_| bad())?;
                Self::Memory(Some(size.0).filter(|n| *n > 0).ok_or_else(bad)?)
            }
            "array" => Self::Array(count()?),
            "map" => Self::Map(count()?),
            // Each call of a script takes stack of ours: more would end the process, not the script.
            "depth" => Self::Depth(count()?.min(256)),
            "operations" => Self::Operations(value.parse().map_err(|_| bad())?),
            _ => return Err(bad()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_named() {
        let limits = |text: &str| Limits::default().with(text.parse().unwrap());
        assert_eq!(limits("string=1GiB").string, 1 << 30);
        assert_eq!(limits("memory=8GiB").memory, 8 << 30);
        assert_eq!((limits("array=5").array, limits("depth=9999").depth), (5, 256));
        for bad in ["", "array", "array=0", "array=x", "memory=0", "arrays=5", "string=-1"] {
            assert!(bad.parse::<Limit>().is_err(), "{bad}");
        }
    }
}
