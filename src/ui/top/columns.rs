//! The columns of the view: what they show, and which of them fit.

use crate::model::{Bytes, GuestWork};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Host,
    State,
    Cpu,
    Course,
    Memory,
    Disk,
    Read,
    Written,
    Net,
    Received,
    Sent,
}

/// What can be sorted by, in the order of the keys.
pub(super) const SORTED: [Column; 7] =
    [Column::Name, Column::Host, Column::State, Column::Cpu, Column::Memory, Column::Disk, Column::Net];

/// On a wide terminal both ways of disks and network have a column of their own.
const WIDE: [Column; 10] = [
    Column::Name,
    Column::Host,
    Column::State,
    Column::Cpu,
    Column::Course,
    Column::Memory,
    Column::Read,
    Column::Written,
    Column::Received,
    Column::Sent,
];

const NARROW: [Column; 8] = [
    Column::Name,
    Column::Host,
    Column::State,
    Column::Cpu,
    Column::Course,
    Column::Memory,
    Column::Disk,
    Column::Net,
];

/// What goes first where there is no room: of one host its name is no news, of several a guest is not known without it.
const OF_ONE: [Column; 7] =
    [Column::Net, Column::Disk, Column::Host, Column::Course, Column::Memory, Column::State, Column::Cpu];

const OF_SEVERAL: [Column; 7] =
    [Column::Net, Column::Disk, Column::Course, Column::Memory, Column::State, Column::Cpu, Column::Host];

impl Column {
    pub(super) const fn head(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Host => "host",
            Self::State => "state",
            Self::Cpu => "cpu %",
            Self::Course => "",
            Self::Memory => "memory",
            Self::Disk => "disk/s",
            Self::Read => "read/s",
            Self::Written => "written/s",
            Self::Net => "net/s",
            Self::Received => "received/s",
            Self::Sent => "sent/s",
        }
    }

    pub(super) const fn is_number(self) -> bool {
        !matches!(self, Self::Name | Self::Host | Self::State | Self::Course)
    }

    /// The column that this one is sorted with.
    pub(super) const fn sorted_as(self) -> Self {
        match self {
            Self::Read | Self::Written => Self::Disk,
            Self::Received | Self::Sent => Self::Net,
            Self::Course => Self::Cpu,
            other => other,
        }
    }

    const fn least(self) -> u16 {
        match self {
            Self::Name => 10,
            Self::Host => 8,
            Self::State => 9,
            Self::Cpu => 6,
            Self::Course => 10,
            _ => 10,
        }
    }

    /// The figure that it is sorted by, where it is one.
    pub(super) fn figure(self, guest: &GuestWork) -> f64 {
        let sum = |one: Option<Bytes>, other: Option<Bytes>| {
            one.map_or(0.0, |b| b.0 as f64) + other.map_or(0.0, |b| b.0 as f64)
        };
        match self {
            Self::Cpu | Self::Course => guest.cpu.unwrap_or(-1.0),
            Self::Memory => sum(guest.memory, None),
            Self::Disk | Self::Read | Self::Written => sum(guest.disk_read, guest.disk_written),
            Self::Net | Self::Received | Self::Sent => sum(guest.received, guest.sent),
            Self::Name | Self::Host | Self::State => 0.0,
        }
    }

    /// What it shows of a guest.
    pub(super) fn text(self, guest: &GuestWork, unicode: bool) -> String {
        let bytes = |bytes: Option<Bytes>| bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
        let both = |one: Option<Bytes>, other: Option<Bytes>| match (one, other) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or_default().saturating_add(other.unwrap_or_default())),
        };
        match self {
            Self::Name => super::visible::line(&guest.name).into_owned(),
            Self::Host => super::visible::line(&guest.host).into_owned(),
            Self::State => guest.state.word().to_owned(),
            Self::Cpu => guest.cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.1}")),
            Self::Course => course(&guest.history, guest.vcpus, usize::from(self.least()), unicode),
            Self::Memory => bytes(guest.memory),
            Self::Disk => bytes(both(guest.disk_read, guest.disk_written)),
            Self::Read => bytes(guest.disk_read),
            Self::Written => bytes(guest.disk_written),
            Self::Net => bytes(both(guest.received, guest.sent)),
            Self::Received => bytes(guest.received),
            Self::Sent => bytes(guest.sent),
        }
    }
}

/// The columns that fit and how wide each is; what is left over goes to the name. `several`: the guests are not all of
/// one host.
pub(super) fn fit(width: u16, several: bool) -> Vec<(Column, u16)> {
    let wide = total(&WIDE) <= width;
    let mut columns: Vec<Column> = if wide { WIDE.to_vec() } else { NARROW.to_vec() };
    for gone in if several { OF_SEVERAL } else { OF_ONE } {
        if total(&columns) > width {
            columns.retain(|column| *column != gone);
        }
    }
    let mut spare = width.saturating_sub(total(&columns));
    columns
        .into_iter()
        .map(|column| {
            let more = match column {
                Column::Name => spare.min(24),
                Column::Host => spare.min(12),
                _ => 0,
            };
            spare -= more;
            (column, column.least() + more)
        })
        .collect()
}

/// One blank between two columns.
fn total(columns: &[Column]) -> u16 {
    columns.iter().map(|column| column.least() + 1).sum::<u16>().saturating_sub(1)
}

/// The last figures as bars; a full one is all of the guest's processors.
fn course(history: &[f64], vcpus: Option<u64>, width: usize, unicode: bool) -> String {
    let bars: &[char] = if unicode {
        &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
    } else {
        &['_', '.', '-', '=', '+', '*', '%', '#']
    };
    let most = history.iter().copied().fold(100.0 * vcpus.unwrap_or(1).max(1) as f64, f64::max);
    let bar = |figure: &f64| {
        let at = (figure / most * (bars.len() - 1) as f64).round();
        bars[(at.max(0.0) as usize).min(bars.len() - 1)]
    };
    let shown: String = history[history.len().saturating_sub(width)..].iter().map(bar).collect();
    format!("{shown:>width$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_fits_is_shown_and_the_name_always() {
        for width in 10..200 {
            for several in [false, true] {
                let columns = fit(width, several);
                let sum: u16 = columns.iter().map(|(_, width)| width + 1).sum::<u16>() - 1;
                assert!(sum <= width, "{width}: {columns:?}");
                assert_eq!(columns[0].0, Column::Name);
                let host = columns.iter().any(|(column, _)| *column == Column::Host);
                assert!(!several || host || width < 19, "{width}: {columns:?}");
            }
        }
        let heads =
            |width, several| fit(width, several).iter().map(|(column, _)| column.head()).collect::<Vec<_>>();
        assert_eq!(heads(40, true), ["name", "host", "state", "cpu %"]);
        assert_eq!(heads(20, true), ["name", "host"]);
        let at = |width| fit(width, false).iter().map(|(column, _)| column.head()).collect::<Vec<_>>();
        assert_eq!(at(40), ["name", "state", "cpu %", "memory"]);
        assert!(at(80).contains(&"net/s"), "{:?}", at(80));
        assert!(at(120).contains(&"sent/s"));
    }

    #[test]
    fn a_course_is_as_wide_as_its_column_and_full_where_all_processors_are_busy() {
        assert_eq!(course(&[0.0, 100.0, 200.0], Some(2), 4, true), " ▁▅█");
        assert_eq!(course(&[0.0, 400.0], None, 2, false), "_#");
        assert_eq!(course(&[f64::NAN, -1.0, 1e300], None, 5, true).chars().count(), 5);
        assert_eq!(course(&vec![50.0; 90], Some(1), 10, true).chars().count(), 10);
    }
}
