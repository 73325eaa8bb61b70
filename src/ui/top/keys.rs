//! What the keys do.

use std::cmp::Ordering;

use crossterm::event::KeyCode;

use super::columns::{Column, SORTED};
use crate::model::suggest::did_you_mean;
use crate::model::{Deed, DomainState, GuestWork, Work};
use crate::ui::Term;

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    Nothing,
    Leave,
    Do { host: String, guest: String, deed: Deed },
}

/// What the keys are for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    Table,
    Filter,
    Help,
    /// The target of a move is being typed.
    Target {
        host: String,
        guest: String,
        text: String,
    },
    /// A yes is waited for.
    Sure {
        host: String,
        guest: String,
        deed: Deed,
    },
}

/// What the view shows and how.
#[derive(Debug)]
pub(super) struct View {
    pub(super) mode: Mode,
    pub(super) sort: Column,
    pub(super) reverse: bool,
    pub(super) filter: String,
    pub(super) note: String,
    pub(super) colour: bool,
    pub(super) unicode: bool,
    /// Host and name of the guest under the cursor: it keeps the cursor when the order changes.
    pub(super) chosen: Option<(String, String)>,
}

/// Whether a guest can be moved there: to a host of the inventory, or what libvirt can connect to.
fn is_target(text: &str, targets: &[String]) -> bool {
    text.contains("://") || targets.iter().any(|target| target == text)
}

impl View {
    pub(super) fn new(term: &Term) -> Self {
        Self {
            mode: Mode::Table,
            sort: Column::Cpu,
            reverse: false,
            filter: String::new(),
            note: String::new(),
            colour: term.stdout.colour,
            unicode: term.unicode,
            chosen: None,
        }
    }

    /// Something to tell below the table.
    pub(super) fn note(&mut self, text: String) {
        self.note = text;
    }

    /// The guests that are shown, in their order.
    pub(super) fn guests<'a>(&self, work: &'a Work) -> Vec<&'a GuestWork> {
        let wanted = self.filter.to_lowercase();
        let fits = |guest: &&GuestWork| {
            [guest.name.as_str(), &guest.host, guest.state.word()]
                .iter()
                .any(|text| text.to_lowercase().contains(&wanted))
        };
        let mut guests: Vec<_> = work.guests.iter().filter(fits).collect();
        guests.sort_by(|one, other| {
            let order = match self.sort {
                Column::Name => Ordering::Equal,
                Column::Host => one.host.cmp(&other.host),
                Column::State => one.state.word().cmp(other.state.word()),
                figure => figure.figure(other).total_cmp(&figure.figure(one)),
            };
            let order = order.then_with(|| (&one.name, &one.host).cmp(&(&other.name, &other.host)));
            if self.reverse { order.reverse() } else { order }
        });
        guests
    }

    /// Where the cursor is among the guests that are shown.
    pub(super) fn cursor(&self, guests: &[&GuestWork]) -> Option<usize> {
        let (host, name) = self.chosen.as_ref()?;
        guests.iter().position(|guest| guest.host == *host && guest.name == *name)
    }

    /// Keeps the cursor on a guest that is there.
    pub(super) fn follow(&mut self, work: &Work) {
        let guests = self.guests(work);
        if self.cursor(&guests).is_none() {
            self.chosen = guests.first().map(|guest| (guest.host.clone(), guest.name.clone()));
        }
    }

    fn go(&mut self, work: &Work, to: impl FnOnce(usize, usize) -> usize) {
        let guests = self.guests(work);
        let at = self.cursor(&guests).unwrap_or(0);
        let last = guests.len().saturating_sub(1);
        self.chosen =
            guests.get(to(at, last).min(last)).map(|guest| (guest.host.clone(), guest.name.clone()));
    }

    pub(super) fn press(&mut self, key: KeyCode, work: &Work, targets: &[String]) -> Act {
        match std::mem::replace(&mut self.mode, Mode::Table) {
            Mode::Table => self.in_table(key, work, targets),
            Mode::Help => Act::Nothing,
            Mode::Filter => {
                match key {
                    KeyCode::Char(c) => self.filter.push(c),
                    KeyCode::Backspace => drop(self.filter.pop()),
                    KeyCode::Esc => self.filter.clear(),
                    _ => {}
                }
                if !matches!(key, KeyCode::Enter | KeyCode::Esc) {
                    self.mode = Mode::Filter;
                }
                self.follow(work);
                Act::Nothing
            }
            Mode::Target { host, guest, mut text } => {
                self.note.clear();
                match key {
                    KeyCode::Esc => return Act::Nothing,
                    KeyCode::Char(c) => text.push(c),
                    KeyCode::Backspace => drop(text.pop()),
                    KeyCode::Tab => {
                        let mut fits =
                            targets.iter().filter(|name| **name != host && name.starts_with(&text));
                        if let (Some(one), None) = (fits.next(), fits.next()) {
                            text.clone_from(one);
                        }
                    }
                    KeyCode::Enter if !text.is_empty() && !is_target(&text, targets) => {
                        let near = did_you_mean(&text, targets.iter().map(String::as_str));
                        let hint =
                            near.map_or_else(|| "Esc leaves it".to_owned(), |near| near.replace('`', ""));
                        self.note = format!("there is no host {text}: {hint}");
                    }
                    KeyCode::Enter if !text.is_empty() => {
                        self.mode = Mode::Sure { host, guest, deed: Deed::Migrate(text) };
                        return Act::Nothing;
                    }
                    _ => {}
                }
                self.mode = Mode::Target { host, guest, text };
                Act::Nothing
            }
            Mode::Sure { host, guest, deed } => match key {
                KeyCode::Char('y' | 'Y') => Act::Do { host, guest, deed },
                _ => {
                    "nothing was done".clone_into(&mut self.note);
                    Act::Nothing
                }
            },
        }
    }

    fn in_table(&mut self, key: KeyCode, work: &Work, targets: &[String]) -> Act {
        self.note.clear();
        match key {
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => return Act::Leave,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('r') => self.reverse = !self.reverse,
            KeyCode::Char('>' | 's') | KeyCode::Right => self.sort_by(1),
            KeyCode::Char('<') | KeyCode::Left => self.sort_by(SORTED.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.go(work, |at, _| at + 1),
            KeyCode::Up | KeyCode::Char('k') => self.go(work, |at, _| at.saturating_sub(1)),
            KeyCode::PageDown => self.go(work, |at, _| at + 10),
            KeyCode::PageUp => self.go(work, |at, _| at.saturating_sub(10)),
            KeyCode::Home => self.go(work, |_, _| 0),
            KeyCode::End => self.go(work, |_, last| last),
            KeyCode::Char(key @ ('p' | 'm' | 'c')) => return self.deed(key, work, targets),
            _ => {}
        }
        Act::Nothing
    }

    fn sort_by(&mut self, step: usize) {
        let at = SORTED.iter().position(|column| *column == self.sort).unwrap_or(0);
        self.sort = SORTED[(at + step) % SORTED.len()];
    }

    fn deed(&mut self, key: char, work: &Work, targets: &[String]) -> Act {
        let guests = self.guests(work);
        let Some(guest) = self.cursor(&guests).map(|at| guests[at]) else { return Act::Nothing };
        let (host, name, state) = (guest.host.clone(), guest.name.clone(), guest.state);
        if state == DomainState::ShutOff && key != 'm' {
            self.note = format!("{name} does not run");
            return Act::Nothing;
        }
        self.mode = match key {
            // To look changes nothing: nobody has to be sure.
            'c' => return Act::Do { host, guest: name, deed: Deed::Console },
            'p' => {
                let deed = if state == DomainState::Paused { Deed::Resume } else { Deed::Suspend };
                Mode::Sure { host, guest: name, deed }
            }
            _ => {
                let mut others = targets.iter().filter(|target| **target != host);
                let text = match (others.next(), others.next()) {
                    (Some(only), None) => only.clone(),
                    _ => String::new(),
                };
                Mode::Target { host, guest: name, text }
            }
        };
        Act::Nothing
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::Bytes;

    pub(in super::super) fn guest(host: &str, name: &str, cpu: f64, state: DomainState) -> GuestWork {
        let runs = state.is_active();
        GuestWork {
            host: host.into(),
            name: name.into(),
            state,
            cpu: runs.then_some(cpu),
            history: if runs { vec![0.0, cpu / 2.0, cpu] } else { Vec::new() },
            memory: runs.then_some(Bytes(512 << 20)),
            vcpus: Some(1),
            disk_read: runs.then_some(Bytes(1 << 20)),
            disk_written: runs.then_some(Bytes(0)),
            received: runs.then_some(Bytes(2048)),
            sent: None,
        }
    }

    pub(in super::super) fn work() -> Work {
        let guests = vec![
            guest("h2-a", "web", 12.3, DomainState::Running),
            guest("h2-b", "db", 97.0, DomainState::Running),
            guest("h2-a", "old", 0.0, DomainState::ShutOff),
            guest("h2-b", "日本", 1.0, DomainState::Paused),
        ];
        Work { guests, ..Work::default() }
    }

    fn names(view: &View) -> Vec<String> {
        view.guests(&work()).iter().map(|guest| guest.name.clone()).collect()
    }

    fn press(view: &mut View, keys: &str) -> Act {
        let targets = ["h2-a".to_owned(), "h2-b".to_owned()];
        let mut last = Act::Nothing;
        for c in keys.chars() {
            let key = match c {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                '\x08' => KeyCode::Backspace,
                '\t' => KeyCode::Tab,
                c => KeyCode::Char(c),
            };
            last = view.press(key, &work(), &targets);
        }
        last
    }

    fn view() -> View {
        let mut view = View::new(&Term::plain());
        view.follow(&work());
        view
    }

    #[test]
    fn the_busiest_is_first_and_other_orders_are_a_key_away() {
        let mut view = view();
        assert_eq!(names(&view), ["db", "web", "日本", "old"]);
        press(&mut view, "r");
        assert_eq!(names(&view), ["old", "日本", "web", "db"]);
        press(&mut view, "r<<<");
        assert_eq!(names(&view), ["db", "old", "web", "日本"]);
    }

    #[test]
    fn a_filter_looks_at_name_host_and_state_and_escape_takes_it_away() {
        let mut view = view();
        press(&mut view, "/H2-A\n");
        assert_eq!(names(&view), ["web", "old"]);
        assert_eq!(view.chosen, Some(("h2-a".into(), "web".into())));
        press(&mut view, "/x\x08\x1b");
        assert_eq!(names(&view).len(), 4);
        assert_eq!(press(&mut view, "\x1b"), Act::Leave);
    }

    #[test]
    fn nothing_is_changed_without_a_yes() {
        let mut view = view();
        let suspend = Act::Do { host: "h2-b".into(), guest: "db".into(), deed: Deed::Suspend };
        assert_eq!(press(&mut view, "p"), Act::Nothing);
        assert_eq!(press(&mut view, "n"), Act::Nothing);
        assert_eq!(press(&mut view, "y"), Act::Nothing);
        assert_eq!(press(&mut view, "p\n"), Act::Nothing);
        assert_eq!(press(&mut view, "py"), suspend);
        assert_eq!(
            press(&mut view, "jjpy"),
            Act::Do { host: "h2-b".into(), guest: "日本".into(), deed: Deed::Resume }
        );
    }

    #[test]
    fn a_move_asks_where_to_and_offers_the_only_other_host() {
        let mut view = view();
        let to = |host: &str| Act::Do {
            host: "h2-b".into(),
            guest: "db".into(),
            deed: Deed::Migrate(host.into()),
        };
        assert_eq!(press(&mut view, "m\n"), Act::Nothing);
        assert_eq!(press(&mut view, "y"), to("h2-a"));
        assert_eq!(press(&mut view, "m\x08\x08\x08\x08h\t\ny"), to("h2-a"));
        assert_eq!(press(&mut view, "m\x1b"), Act::Nothing);
        assert_eq!(view.mode, Mode::Table);
    }

    #[test]
    fn a_host_that_nobody_knows_is_no_target() {
        let mut view = view();
        assert_eq!(press(&mut view, "m\x08\x08\x08\x08h3-a\ny"), Act::Nothing);
        assert!(matches!(view.mode, Mode::Target { .. }), "{:?}", view.mode);
        press(&mut view, "\x08\n");
        assert_eq!(view.note, "there is no host h3-a: did you mean h2-a?");
    }

    #[test]
    fn what_is_off_has_no_console() {
        let mut view = view();
        assert_eq!(press(&mut view, "jjjc"), Act::Nothing);
        assert_eq!(view.note, "old does not run");
        assert_eq!(
            press(&mut view, "kkkc"),
            Act::Do { host: "h2-b".into(), guest: "db".into(), deed: Deed::Console }
        );
    }

    #[test]
    fn the_cursor_stays_on_its_guest_and_moves_on_when_that_goes() {
        let mut view = view();
        press(&mut view, "jr");
        assert_eq!(view.chosen.as_ref().map(|(_, name)| name.as_str()), Some("web"));
        let fewer = Work { guests: vec![guest("h2-a", "old", 0.0, DomainState::ShutOff)], ..Work::default() };
        view.follow(&fewer);
        assert_eq!(view.chosen, Some(("h2-a".into(), "old".into())));
        view.follow(&Work::default());
        assert_eq!((view.chosen.clone(), press(&mut view, "jkpmc")), (None, Act::Nothing));
    }
}
