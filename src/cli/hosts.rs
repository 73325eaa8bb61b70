//! `kvmsh hosts`: the inventory, and whether its hosts answer.

mod add;
mod state;
mod test;

use serde_json::{Value, json};

use super::args::usage;
use super::start::Start;
use crate::gate::Change;
use crate::inventory::{self, Editor};
use crate::model::{Cell, Data, Diagnosis, Fault, HostEntry, Table};
use crate::ui::Format;

pub(super) use add::add;
pub(super) use state::state;
pub(super) use test::test;

/// Lists the hosts, and contacts none.
pub(super) fn list(start: &Start) -> Result<u8, Diagnosis> {
    let inventory = inventory::load(start.location.as_ref())?;
    let hosts = inventory::select(&inventory, &start.options.hosts)?;
    if hosts.is_empty() && start.options.output == Format::Table {
        start.say("no hosts yet: add one with kvmsh hosts add NAME [user@]ADDRESS");
        return Ok(0);
    }
    let data = match start.options.output {
        Format::Table | Format::Csv => Data::Table(table(&hosts)),
        Format::Json | Format::Yaml => Data::Tree(hosts.iter().map(|host| record(host)).collect()),
    };
    start.show(&data)?;
    Ok(0)
}

/// Removes a host from the inventory and its groups.
pub(super) fn remove(name: &str, start: &Start) -> Result<u8, Diagnosis> {
    let mut editor = Editor::open(&place(start)?)?;
    let change = Change::new(name, "host", name, "remove").detail("from the inventory");
    let mut trouble = None;
    let session = start.session()?;
    let outcome = session.gate().apply(change, |_| {
        editor.remove(name).map_err(|diagnosis| {
            let fault = diagnosis.fault.clone();
            trouble = Some(diagnosis);
            fault
        })
    });
    match outcome {
        Ok(crate::gate::Outcome::Planned) => super::run::planned_only(&session, start),
        Ok(crate::gate::Outcome::Done(groups)) => {
            let also =
                if groups.is_empty() { String::new() } else { format!(", and from {}", groups.join(", ")) };
            start.say(&format!("removed {name} from the inventory{also}"));
            Ok(0)
        }
        Err(fault) => Err(trouble.unwrap_or_else(|| fault.into())),
    }
}

/// The inventory file, also when it does not exist yet.
fn place(start: &Start) -> Result<std::path::PathBuf, Fault> {
    start.location.as_ref().map(|location| location.path.clone()).ok_or_else(|| {
        usage("there is no home directory to keep the inventory in")
            .hint("set HOME, or name a file with --inventory")
    })
}

fn table(hosts: &[&HostEntry]) -> Table {
    let mut table = Table::with_columns(["name", "address", "user", "uri", "tags"]);
    for host in hosts {
        let text = |text: Option<String>| text.map_or(Cell::Nothing, Cell::Text);
        table.rows.push(vec![
            Cell::Text(host.target.name.clone()),
            text(address(host)),
            text(host.target.user.clone()),
            Cell::Text(uri(host)),
            text(Some(host.tags.join(" ")).filter(|tags| !tags.is_empty())),
        ]);
    }
    table
}

fn record(host: &HostEntry) -> Value {
    json!({
        "name": host.target.name,
        "address": address(host),
        "user": host.target.user,
        "uri": uri(host),
        "tags": host.tags,
    })
}

fn address(host: &HostEntry) -> Option<String> {
    let address = host.target.address.as_deref()?;
    Some(match host.target.port {
        Some(port) => format!("{}:{port}", bracketed(address)),
        None => address.to_owned(),
    })
}

/// What libvirt is asked to connect to: the inventory's `uri`, or the usual one.
fn uri(host: &HostEntry) -> String {
    let target = &host.target;
    if let Some(uri) = &target.uri {
        return uri.clone();
    }
    let user = target.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let port = target.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("qemu+ssh://{user}{}{port}/system", bracketed(target.address.as_deref().unwrap_or_default()))
}

fn bracketed(address: &str) -> String {
    if address.contains(':') && !address.starts_with('[') {
        format!("[{address}]")
    } else {
        address.to_owned()
    }
}
