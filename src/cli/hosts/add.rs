//! `kvmsh hosts add`: gets to know a host.
//!
//! Whether to trust a host key is never answered by `--yes`: that option says
//! "I have read what is going to change", and nobody has read this key.

use super::test::{faults, milliseconds};
use crate::cli::args::AddHost;
use crate::cli::start::Start;
use crate::cli::{complain, run, signals};
use crate::gate::{Change, Mode, Outcome};
use crate::inventory::{Editor, NewHost};
use crate::model::{Class, Diagnosis, Target};
use crate::ops::{Host, Pin};

const PIN: Pin = Pin { named: "--accept-fingerprint", write: "kvmsh hosts add … --accept-fingerprint" };

pub(crate) fn add(arguments: &AddHost, start: &Start) -> Result<u8, Diagnosis> {
    let new = NewHost::from_arguments(&arguments.name, &arguments.address)?;
    let path = super::place(start)?;
    let mut editor = Editor::open(&path)?;
    editor.check_new(&new.name)?;
    // An inventory that `--inventory` names may be about to be made.
    let session = start.session_for_new_inventory()?;
    signals::watch(&start.cancel)?;

    if !arguments.no_test {
        let host = session.stranger(&Target {
            address: new.address.clone(),
            user: new.user.clone(),
            port: new.port,
            uri: new.uri.clone(),
            ..Target::local(&new.name, "")
        });
        if new.address.is_some() {
            host.introduce(arguments.accept_fingerprint.as_deref(), PIN)?;
        }
        if session.gate().mode() == Mode::Apply {
            let failed = test(&host, start);
            if failed > 0 {
                start.say(&format!(
                    "{} was not added: mend what is above, or add it as it is with --no-test",
                    new.name
                ));
                return Ok(failed);
            }
        }
    }

    let change = Change::new(&new.name, "host", &new.name, "add").detail(format!("to {}", path.display()));
    let mut trouble = None;
    let outcome = session.gate().apply(change, |_| {
        editor.add(&new).map_err(|diagnosis| {
            let fault = diagnosis.fault.clone();
            trouble = Some(diagnosis);
            fault
        })
    });
    match outcome {
        Ok(Outcome::Planned) => run::planned_only(&session, start),
        Ok(Outcome::Done(())) => {
            let untested = if arguments.no_test { ", without connecting to it" } else { "" };
            start.say(&format!("added {} to {}{untested}", new.name, path.display()));
            Ok(0)
        }
        Err(fault) => Err(trouble.unwrap_or_else(|| fault.into())),
    }
}

/// Tries SSH and libvirt; the exit code, 0 when both work.
fn test(host: &Host, start: &Start) -> u8 {
    let check = host.check();
    if let (Ok(ssh), Ok(libvirt)) = (&check.ssh, &check.libvirt) {
        let ssh = ssh.map(|time| format!("SSH {}, ", milliseconds(time))).unwrap_or_default();
        start.say(&format!("{}: {ssh}{libvirt}", host.name()));
        return 0;
    }
    for fault in faults(check) {
        complain(&fault.on_host(host.name()).into(), &start.term);
    }
    Class::Connect.exit_code()
}
