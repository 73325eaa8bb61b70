//! Completions and the manual page, from the definition of the options.

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::args::{Cli, EXIT_CODES};
use crate::model::Fault;

pub(super) fn completions(shell: Shell) -> Result<u8, Fault> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kvmsh", &mut out);
    super::deliver(&String::from_utf8_lossy(&out))?;
    Ok(0)
}

pub(super) fn man() -> Result<u8, Fault> {
    let page =
        page().map_err(|e| Fault::new("man", "cannot write the manual page").because(e.to_string()))?;
    super::deliver(&String::from_utf8_lossy(&page))?;
    Ok(0)
}

fn page() -> std::io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let commands = command.clone();
    let man = Man::new(command).manual("Manual of kvmsh");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    synopsis().to_writer(&mut out)?;
    man.render_options_section(&mut out)?;
    commands_section(&commands).to_writer(&mut out)?;
    closing().to_writer(&mut out)?;
    Ok(out)
}

fn synopsis() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for (at, rest) in [" [OPTIONS] [FILE [ARGS]...]", " [OPTIONS] -c CODE [ARGS]...", " [OPTIONS] COMMAND"]
        .iter()
        .enumerate()
    {
        if at > 0 {
            roff.control("br", []);
        }
        roff.text([bold("kvmsh"), roman(*rest)]);
    }
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "kvmsh runs scripts, or lines at its prompt, against hosts that run libvirt. It needs nothing on the \
         hosts but libvirt and SSH, and keeps nothing there that other tools cannot read. Options before FILE \
         are kvmsh's, everything after FILE is the script's. Results go to stdout, talk goes to stderr.",
    )]);
    roff
}

fn commands_section(command: &clap::Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for sub in command.get_subcommands() {
        let mut leaves: Vec<&clap::Command> = sub.get_subcommands().collect();
        let nested = !leaves.is_empty();
        if !nested {
            leaves.push(sub);
        }
        for leaf in leaves {
            let name = if nested {
                format!("{} {}", sub.get_name(), leaf.get_name())
            } else {
                sub.get_name().to_owned()
            };
            describe(&mut roff, &name, leaf);
        }
    }
    roff
}

fn describe(roff: &mut Roff, name: &str, command: &clap::Command) {
    let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help");
    let words: Vec<String> = own().filter(|arg| arg.is_positional()).map(ToString::to_string).collect();
    roff.control("TP", []);
    roff.text([
        bold(name),
        roman(if words.is_empty() { String::new() } else { format!(" {}", words.join(" ")) }),
    ]);
    roff.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default() + ".")]);
    for arg in own() {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        roff.control("RS", []).control("TP", []);
        roff.text([bold(arg.to_string())]);
        roff.text([roman(help)]);
        roff.control("RE", []);
    }
}

fn closing() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for line in EXIT_CODES.lines() {
        if let Some((code, meaning)) = line.trim().split_once(' ') {
            roff.control("TP", ["6"]);
            roff.text([bold(code)]);
            roff.text([roman(meaning.trim())]);
        }
    }
    entries(
        &mut roff,
        "UNATTENDED",
        &[
            (
                "cron, systemd timers",
                "Nothing is asked: what would ask ends with 4. Use --timeout and --step-timeout so that it ends, --lock so that \
                 it does not meet itself, --window so that it begins nothing by day, -q so that cron mails only failures.",
            ),
            (
                "leases",
                "Whoever changes a host holds a lease on it, in /run/kvmsh on that host, until the end of the run. Others are \
                 refused with 4, or wait with --wait. It ends by itself within 60 s of its holder's death.",
            ),
            (
                "signals",
                "SIGTERM, SIGINT and SIGHUP abort what is in flight and wait for that; the third ends kvmsh on the spot.",
            ),
        ],
    );
    entries(
        &mut roff,
        "ENVIRONMENT",
        &[
            ("KVMSH_INVENTORY", "The inventory, when --inventory is not given."),
            (
                "KVMSH_PAGER, PAGER",
                "What shows a result that is taller than the screen, at the prompt; less when neither is set, nothing \
                 when the first that is set is empty or cat.",
            ),
            (
                "KVMSH_JOURNAL_SIZE, KVMSH_JOURNAL_AGE, KVMSH_JOURNAL_KEEP",
                "When a new journal is begun (16MiB, 30d), and how many old ones are kept (24).",
            ),
            ("KVMSH_LEASE_TTL", "After how many seconds a lease on a host is void that nobody renews (60)."),
            ("VISUAL, EDITOR", "What :edit opens at the prompt."),
            ("NO_COLOR", "Set to anything: no colour, unless --color says otherwise."),
            ("CLICOLOR_FORCE", "Set to anything but 0: colour also where no terminal is."),
            ("LC_ALL, LC_CTYPE, LANG", "Without UTF-8 in the first that is set, only ASCII is drawn."),
            (
                "XDG_CONFIG_HOME, XDG_STATE_HOME",
                "Where the files below are, instead of ~/.config and ~/.local/state.",
            ),
        ],
    );
    entries(
        &mut roff,
        "FILES",
        &[
            ("~/.config/kvmsh/hosts.toml", "The inventory."),
            ("~/.config/kvmsh/rc.rhai", "Runs when the prompt begins, unless --no-rc is given."),
            ("~/.local/state/kvmsh/history", "What was typed at the prompt."),
            ("~/.local/state/kvmsh/journal.ndjson", "What was changed: one JSON object a line."),
            (
                "~/.ssh/config, ~/.ssh/known_hosts",
                "Read for every SSH connection; host keys are always checked.",
            ),
        ],
    );
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("virsh"),
        roman("(1), "),
        bold("ssh_config"),
        roman("(5), "),
        bold("libvirtd"),
        roman("(8)"),
    ]);
    roff
}

fn entries(roff: &mut Roff, title: &str, items: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (name, text) in items {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*text)]);
    }
}
