//! A guest's console and a picture of its screen.

use std::path::Path;

use super::Domain;
use super::picture::Picture;
use crate::gate::{Change, Outcome};
use crate::libvirt;
use crate::model::screen::{Heard, Wire};
use crate::model::{Class, DomainState, Fault};

/// A wire to a console.
#[derive(Debug)]
struct Line<'a> {
    domain: &'a Domain,
    console: libvirt::Console,
}

impl Wire for Line<'_> {
    fn read(&mut self, into: &mut [u8]) -> Result<Heard, Fault> {
        self.console.read(into).map_err(|error| self.domain.fault(error))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.console.write(bytes).map_err(|error| self.domain.fault(error))
    }
}

impl Domain {
    /// Joins the terminal to a console of the guest until the person leaves: the one of this alias, or the first.
    ///
    /// # Errors
    /// `no_terminal`; `not_running`; `operation_failed` when somebody has it open, unless `force`.
    pub fn console(&self, device: Option<&str>, force: bool) -> Result<(), Fault> {
        let session = self.host().session();
        let screen = session.screen();
        if !screen.is_live() {
            return Err(screen.absent("console"));
        }
        self.must_run("no console")?;
        let change = Change::new(self.host().name(), "domain", self.name(), "open console");
        let opened = self.host().change_unleased(change, |permit| {
            let handle = self.handle()?;
            handle.open_console(permit, device, force).map_err(|error| self.explain_console(error))
        })?;
        let Outcome::Done(console) = opened else { return Ok(()) };
        screen.console(self.name(), &mut Line { domain: self, console })
    }

    fn explain_console(&self, error: libvirt::Error) -> Fault {
        let fault = self.fault(error);
        match fault.code.as_str() {
            "operation_failed" => {
                fault.hint("somebody else may have it open: console(#{force: true}) takes it over")
            }
            "internal_error" => fault.hint("its XML needs a <serial> or <console> of the type pty"),
            _ => fault,
        }
    }

    fn must_run(&self, lacks: &str) -> Result<(), Fault> {
        match self.state()? {
            DomainState::ShutOff => {
                let message = format!("{} does not run, so it has {lacks}", self.name());
                let fault =
                    Fault::new("not_running", message).class(Class::Refused).hint("start() starts it");
                Err(fault.on_host(self.host().name()).on_object("domain", self.name()))
            }
            _ => Ok(()),
        }
    }

    /// Writes what a screen of the guest shows to a file of this machine, as PNG; returns width and height.
    ///
    /// # Errors
    /// `not_running`; `screenshot_format` for a picture that is none; `file_write`.
    pub fn screenshot(&self, screen: u32, path: &Path) -> Result<(u32, u32), Fault> {
        self.must_run("nothing on its screen")?;
        let (kind, bytes) = self.ask_screenshot(screen)?;
        let picture = Picture::of(&kind, &bytes)
            .map_err(|fault| fault.on_host(self.host().name()).on_object("domain", self.name()))?;
        std::fs::write(path, &picture.png).map_err(|error| {
            Fault::new("file_write", format!("cannot write {}", path.display())).because(error.to_string())
        })?;
        Ok((picture.width, picture.height))
    }

    fn ask_screenshot(&self, screen: u32) -> Result<(String, Vec<u8>), Fault> {
        self.ask(|d| d.screenshot(screen)).map_err(|fault| match fault.code.as_str() {
            "invalid_arg" | "config_unsupported" => {
                fault.hint("a guest without <video> has no screen; screens are counted from 0")
            }
            _ => fault,
        })
    }
}
