//! Amounts of memory and storage.

use std::fmt;
use std::str::FromStr;

/// An amount in bytes; parses `4GiB`, `512M` or `1048576`, prints `4.0 GiB`.
///
/// Suffixes are binary with and without the `i` (`K` = `KiB` = 1024), as QEMU
/// and libvirt's own tools read them; the decimal units are `KB`, `MB`, `GB`, `TB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Bytes(pub u64);

const UNITS: [(&str, u64); 14] = [
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("TIB", 1 << 40),
    ("PIB", 1 << 50),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("K", 1 << 10),
    ("M", 1 << 20),
    ("G", 1 << 30),
    ("T", 1 << 40),
    ("B", 1),
];

impl Bytes {
    /// From libvirt's usual unit, KiB.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1024))
    }

    /// From MiB.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// The amount in KiB, rounded up.
    pub const fn kib(self) -> u64 {
        self.0.div_ceil(1024)
    }

    /// The difference, or nothing where the other is larger.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum, at most `u64::MAX`.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size: write a number with K, M, G, T (or KiB, MiB, …), for instance `4GiB`")]
pub struct NotASize(String);

impl FromStr for Bytes {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let bad = || NotASize(text.to_owned());
        let compact: String = text.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
        let upper = compact.to_ascii_uppercase();
        let (digits, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| upper.strip_suffix(unit).map(|digits| (digits, *factor)))
            .unwrap_or((&upper, 1));
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Err(bad());
        }
        if let Ok(whole) = digits.parse::<u64>() {
            return whole.checked_mul(factor).map(Self).ok_or_else(bad);
        }
        let value = digits.parse::<f64>().map_err(|_| bad())? * factor as f64;
        // 2^63: sizes travel through scripts as signed 64-bit integers.
        if value.is_finite() && value < 9.2e18 { Ok(Self(value.round() as u64)) } else { Err(bad()) }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1023.95 && unit + 1 < NAMES.len() {
            value /= 1024.0;
            unit += 1;
        }
        let text = if unit == 0 || value.fract() == 0.0 || value >= 99.95 {
            format!("{value:.0} {}", NAMES[unit])
        } else {
            format!("{value:.1} {}", NAMES[unit])
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_read_as_admins_write_them() {
        for (text, bytes) in [
            ("4GiB", 4 << 30),
            ("512M", 512 << 20),
            ("1.5 GiB", 3 << 29),
            ("10GB", 10_000_000_000),
            ("4096", 4096),
            ("1_000 B", 1000),
            ("2t", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["", "GiB", "-1G", "4 bananas", "1e9", "99999999999T", ".", "1.2.3M"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_print_with_at_most_one_decimal() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (512 << 20, "512 MiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (1_288_490_188, "1.2 GiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_an_error_and_never_a_panic(text in ".*") {
            let _ = text.parse::<Bytes>();
        }

        #[test]
        fn whole_bytes_survive_printing_and_parsing(bytes in 0u64..(1 << 62)) {
            prop_assert_eq!(bytes.to_string().parse(), Ok(Bytes(bytes)));
        }
    }
}
