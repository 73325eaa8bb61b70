//! Guests and hosts at work: rates, not counters.

use super::{Bytes, Cell, DomainState, Fault, Table, Tone};

/// A guest at work. A figure is missing until it has been read twice, and where the driver lacks it.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestWork {
    /// Its host.
    pub host: String,
    /// Its name.
    pub name: String,
    /// State.
    pub state: DomainState,
    /// Processor time in percent: 100 is one of the host's processors.
    pub cpu: Option<f64>,
    /// The processor figures before this one, oldest first.
    pub history: Vec<f64>,
    /// Memory it has now.
    pub memory: Option<Bytes>,
    /// Virtual processors.
    pub vcpus: Option<u64>,
    /// Bytes a second from its disks.
    pub disk_read: Option<Bytes>,
    /// Bytes a second to its disks.
    pub disk_written: Option<Bytes>,
    /// Bytes a second from the network.
    pub received: Option<Bytes>,
    /// Bytes a second to the network.
    pub sent: Option<Bytes>,
}

/// A host at work.
#[derive(Debug, Clone, PartialEq)]
pub struct HostWork {
    /// Its name.
    pub name: String,
    /// Why it cannot be asked; `None` while all is well.
    pub down: Option<String>,
    /// Whether it has answered yet.
    pub known: bool,
    /// How busy all its processors are, in percent.
    pub cpu: Option<f64>,
    /// Processors.
    pub cpus: u32,
    /// Memory in use.
    pub used: Bytes,
    /// All of its memory.
    pub memory: Bytes,
}

/// Everything at one time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Work {
    /// In the order in which they were named.
    pub hosts: Vec<HostWork>,
    /// Of all hosts.
    pub guests: Vec<GuestWork>,
    /// Grows with each reading.
    pub readings: u64,
}

/// What can be done to a guest from a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Stop its processors.
    Suspend,
    /// Let them run again.
    Resume,
    /// Move it to this host.
    Migrate(String),
    /// Join the terminal to its console.
    Console,
}

/// What a view of guests at work is fed by.
pub trait Watched: Sync {
    /// The latest reading. Does not wait.
    fn now(&self) -> Work;
    /// Does something to a guest; says in one line what came of it.
    ///
    /// # Errors
    /// What the deed says.
    fn act(&self, host: &str, guest: &str, deed: &Deed) -> Result<String, Fault>;
    /// Hosts that a guest could be moved to.
    fn targets(&self) -> Vec<String>;
}

impl Work {
    /// The guests as a table; rates are in bytes a second, `cpu` in percent of one processor.
    pub fn table(&self) -> Table {
        let mut table = Table::with_columns([
            "name", "host", "state", "cpu", "memory", "read", "written", "received", "sent",
        ]);
        let bytes = |bytes: Option<Bytes>| bytes.map_or(Cell::Nothing, Cell::Bytes);
        table.rows = self
            .guests
            .iter()
            .map(|guest| {
                vec![
                    Cell::Text(guest.name.clone()),
                    Cell::Text(guest.host.clone()),
                    Cell::State(guest.state.word().into(), guest.state.tone()),
                    guest.cpu.map_or(Cell::Nothing, |cpu| Cell::Decimal((cpu * 10.0).round() / 10.0)),
                    bytes(guest.memory),
                    bytes(guest.disk_read),
                    bytes(guest.disk_written),
                    bytes(guest.received),
                    bytes(guest.sent),
                ]
            })
            .collect();
        for host in self.hosts.iter().filter(|host| host.down.is_some()) {
            let mut row =
                vec![Cell::Nothing, Cell::Text(host.name.clone()), Cell::State("down".into(), Tone::Bad)];
            row.resize(table.columns.len(), Cell::Nothing);
            table.rows.push(row);
        }
        table
    }
}
