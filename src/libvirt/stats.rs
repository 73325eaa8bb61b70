//! Figures of all domains in one round trip.

use virt::sys;

use super::raw::{Params, Value};
use super::{Connection, Error, raw};
use crate::model::{Bytes, DomainRow, DomainState};

/// libvirt's groups of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatsGroup {
    /// `state.*`
    State,
    /// `cpu.*`
    Cpu,
    /// `balloon.*`
    Balloon,
    /// `vcpu.*`
    Vcpu,
    /// `net.*`
    Interface,
    /// `block.*`
    Block,
}

impl StatsGroup {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::State, Self::Cpu, Self::Balloon, Self::Vcpu, Self::Interface, Self::Block];

    const fn bit(self) -> u32 {
        match self {
            Self::State => sys::VIR_DOMAIN_STATS_STATE,
            Self::Cpu => sys::VIR_DOMAIN_STATS_CPU_TOTAL,
            Self::Balloon => sys::VIR_DOMAIN_STATS_BALLOON,
            Self::Vcpu => sys::VIR_DOMAIN_STATS_VCPU,
            Self::Interface => sys::VIR_DOMAIN_STATS_INTERFACE,
            Self::Block => sys::VIR_DOMAIN_STATS_BLOCK,
        }
    }
}

/// What a domain has used since its start; figures that QEMU was too busy to tell are missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Counters {
    /// Name, state, memory, processor time.
    pub row: DomainRow,
    /// Bytes read from its disks.
    pub disk_read: Option<u64>,
    /// Bytes written to its disks.
    pub disk_written: Option<u64>,
    /// Bytes received.
    pub received: Option<u64>,
    /// Bytes sent.
    pub sent: Option<u64>,
}

impl Connection {
    /// What all domains have used, in one round trip.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn counters(&self) -> Result<Vec<Counters>, Error> {
        if self.uri().starts_with("test:") {
            let bare =
                |row| Counters { row, disk_read: None, disk_written: None, received: None, sent: None };
            return Ok(self.rows()?.into_iter().map(bare).collect());
        }
        let rows = self.stats(&StatsGroup::ALL)?;
        Ok(rows
            .into_iter()
            .map(|(name, uuid, params)| Counters {
                disk_read: sum(&params, "block.", ".rd.bytes"),
                disk_written: sum(&params, "block.", ".wr.bytes"),
                received: sum(&params, "net.", ".rx.bytes"),
                sent: sum(&params, "net.", ".tx.bytes"),
                row: row_from(name, uuid, &params),
            })
            .collect())
    }

    /// Name, UUID and the images in use of each domain that runs, in one round trip.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn images_in_use(&self) -> Result<Vec<(String, String, Vec<String>)>, Error> {
        let rows = self.stats(&[StatsGroup::State, StatsGroup::Block])?;
        let images = |params: &Params| {
            let paths = params.iter().filter(|(key, _)| key.starts_with("block.") && key.ends_with(".path"));
            let text = |value: &Value| match value {
                Value::Text(path) => Some(path.clone()),
                _ => None,
            };
            paths.filter_map(|(_, value)| text(value)).collect()
        };
        Ok(rows
            .into_iter()
            .map(|(name, uuid, params)| (images(&params), row_from(name, uuid, &params)))
            .filter(|(_, row)| row.state.is_active())
            .map(|(images, row)| (row.name, row.uuid, images))
            .collect())
    }

    /// Figures of all domains: name, UUID, parameters by libvirt's names.
    ///
    /// Does not wait for a domain whose monitor is busy: that one then lacks the
    /// figures only QEMU knows, and the others are not held up.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn stats(&self, groups: &[StatsGroup]) -> Result<Vec<(String, String, Params)>, Error> {
        let bits = groups.iter().fold(0, |bits, group| bits | group.bit());
        let nowait = sys::VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT;
        let rows = match self.call(move |c| raw::all_domain_stats(c, bits, nowait)) {
            // The flag is younger than the call, and not every driver knows it.
            Err(error) if error.is_unsupported() || error.is(virt::error::ErrorNumber::InvalidArg) => {
                self.call(move |c| raw::all_domain_stats(c, bits, 0))?
            }
            rows => rows?,
        };
        Ok(rows.into_iter().map(|row| (row.name, row.uuid, row.params)).collect())
    }

    /// All domains with what a list shows of each.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn rows(&self) -> Result<Vec<DomainRow>, Error> {
        if self.uri().starts_with("test:") {
            // The test driver knows only the state; ask it the rest one by one, it is in this process.
            return self.domains()?.iter().map(row_of).collect();
        }
        let groups = [StatsGroup::State, StatsGroup::Balloon, StatsGroup::Vcpu, StatsGroup::Cpu];
        Ok(self
            .stats(&groups)?
            .into_iter()
            .map(|(name, uuid, params)| row_from(name, uuid, &params))
            .collect())
    }
}

/// The figures of all devices together; `None` where there is none.
fn sum(params: &Params, begin: &str, end: &str) -> Option<u64> {
    let mut figures = params.iter().filter(|(key, _)| key.starts_with(begin) && key.ends_with(end));
    let first = figures.next()?.1.as_u64()?;
    Some(figures.filter_map(|(_, value)| value.as_u64()).fold(first, u64::saturating_add))
}

fn row_of(domain: &super::Domain) -> Result<DomainRow, Error> {
    let info = domain.info()?;
    Ok(DomainRow {
        name: domain.name()?,
        uuid: domain.uuid()?,
        state: info.state,
        max_memory: Some(info.max_memory),
        memory: Some(info.memory),
        resident: None,
        vcpus: Some(info.vcpus.into()),
        cpu_time: Some(info.cpu_time),
    })
}

fn row_from(name: String, uuid: String, params: &Params) -> DomainRow {
    let number = |key: &str| params.get(key).and_then(Value::as_u64);
    let state = number("state.state").and_then(|state| i32::try_from(state).ok()).unwrap_or(0);
    DomainRow {
        name,
        uuid,
        state: DomainState::from_libvirt(state),
        max_memory: number("balloon.maximum").map(Bytes::from_kib),
        memory: number("balloon.current").map(Bytes::from_kib),
        resident: number("balloon.rss").map(Bytes::from_kib),
        vcpus: number("vcpu.current"),
        cpu_time: number("cpu.time"),
    }
}
