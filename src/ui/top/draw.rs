//! The picture: hosts above, guests in the middle, what the keys do below.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState, Wrap};
use unicode_width::UnicodeWidthStr;

use super::columns::{self, Column};
use super::keys::{Mode, View};
use super::visible;
use crate::model::{Deed, HostWork, Tone, Work};

/// More hosts than this would leave no room for guests.
const MOST_HOSTS: usize = 5;

const HELP: &str = "up, down  choose a guest
<, >      sort by another column
r         the other way round
/         only some: name, host, state
p         suspend, or resume
m         move to another host
c         console
q         leave

cpu %: 100 is one of the host's processors. The bars are its course: full when all of the guest's processors are busy. \
Rates are in bytes a second.";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, work: &Work) {
    let hosts = work.hosts.len().min(MOST_HOSTS);
    let rows = Layout::vertical([
        Constraint::Length(u16::try_from(hosts).unwrap_or(0)),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ]);
    let [above, _, middle, below] = rows.areas(frame.area());
    let width = usize::from(frame.area().width);
    frame.render_widget(Paragraph::new(host_lines(view, work, width)), above);
    if view.mode == Mode::Help {
        frame.render_widget(Paragraph::new(HELP).wrap(Wrap { trim: false }), middle);
    } else {
        guests(frame, middle, view, work);
    }
    frame.render_widget(Paragraph::new(footer(view, work, width)), below);
}

fn host_lines(view: &View, work: &Work, width: usize) -> Text<'static> {
    let widest = work.hosts.iter().map(|host| host.name.chars().count()).max().unwrap_or(0).min(20);
    let mut lines: Vec<Line<'static>> =
        work.hosts.iter().take(MOST_HOSTS).map(|host| host_line(view, work, host, (widest, width))).collect();
    if work.hosts.len() > MOST_HOSTS {
        let rest = &work.hosts[MOST_HOSTS - 1..];
        let down = rest.iter().filter(|host| host.down.is_some()).count();
        let down = if down > 0 { format!(", {down} of them down") } else { String::new() };
        lines.pop();
        lines.push(Line::raw(format!("and {} more hosts{down}", rest.len())));
    }
    lines.into()
}

fn host_line(view: &View, work: &Work, host: &HostWork, (widest, width): (usize, usize)) -> Line<'static> {
    let name = visible::line(&host.name).into_owned();
    let name = Span::styled(format!("{name:<widest$}  "), Style::new().add_modifier(Modifier::BOLD));
    if let Some(why) = &host.down {
        let why = format!("down: {}", visible::line(why));
        return Line::from(vec![name, Span::styled(why, tone(view, Tone::Bad))]);
    }
    if !host.known {
        return Line::from(vec![name, Span::raw(if view.unicode { "…" } else { "..." })]);
    }
    let own = || work.guests.iter().filter(|guest| guest.host == host.name);
    let running = own().filter(|guest| guest.state.is_running()).count();
    let cpu = host.cpu.map_or_else(|| "   -".to_owned(), |cpu| format!("{cpu:3.0}%"));
    let busy = host.cpu.is_some_and(|cpu| cpu > 90.0);
    let mut spans = vec![
        name,
        Span::raw("cpu "),
        Span::styled(cpu, if busy { tone(view, Tone::Warn) } else { Style::new() }),
    ];
    let rest = [
        format!("  {running}/{} guests", own().count()),
        format!("  {} of {}", host.used, host.memory),
        format!("  {} cpus", host.cpus),
    ];
    // Half a figure would be another one.
    let mut room = width.saturating_sub(spans.iter().map(Span::width).sum());
    for figure in rest {
        if let Some(left) = room.checked_sub(figure.len()) {
            room = left;
            spans.push(Span::raw(figure));
        }
    }
    Line::from(spans)
}

fn tone(view: &View, tone: Tone) -> Style {
    if !view.colour {
        return Style::new();
    }
    match tone {
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warn => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        Tone::Idle => Style::new().add_modifier(Modifier::DIM),
    }
}

fn guests(frame: &mut Frame<'_>, area: Rect, view: &View, work: &Work) {
    let shown = view.guests(work);
    let columns = columns::fit(area.width, work.hosts.len() > 1);
    let aligned = |column: Column, text: String| {
        let side = if column.is_number() { Alignment::Right } else { Alignment::Left };
        Text::from(text).alignment(side)
    };
    let ellipsis = if view.unicode { "…" } else { "..." };
    let head = columns.iter().map(|(column, _)| {
        let by = *column == column.sorted_as() && view.sort == *column
            || matches!(column, Column::Read | Column::Received) && view.sort == column.sorted_as();
        let text = column.head().to_owned();
        let style = Style::new().add_modifier(if by { Modifier::REVERSED } else { Modifier::BOLD });
        Cell::new(aligned(*column, text)).style(style)
    });
    let rows = shown.iter().map(|guest| {
        Row::new(columns.iter().map(|(column, width)| {
            let text = column.text(guest, view.unicode);
            let text = crate::ui::table::cut(&text, usize::from(*width), ellipsis);
            let style = match column {
                Column::State => tone(view, guest.state.tone()),
                _ if !guest.state.is_active() => tone(view, Tone::Idle),
                _ => Style::new(),
            };
            Cell::new(aligned(*column, text)).style(style)
        }))
    });
    let widths = columns.iter().map(|(_, width)| Constraint::Length(*width));
    let table = Table::new(rows, widths)
        .header(Row::new(head))
        .column_spacing(1)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(view.cursor(&shown));
    frame.render_stateful_widget(table, area, &mut state);
    if shown.is_empty() {
        let text = match () {
            () if !work.guests.is_empty() => "no guest fits the filter",
            () if work.hosts.iter().any(|host| host.known && host.down.is_none()) => "no guests",
            () => "no figures yet",
        };
        let line =
            Rect { y: area.y + 1.min(area.height.saturating_sub(1)), height: 1.min(area.height), ..area };
        frame.render_widget(Paragraph::new(text), line);
    }
}

fn footer(view: &View, work: &Work, width: usize) -> Line<'static> {
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let seen = |text: &str| visible::line(text).into_owned();
    match &view.mode {
        Mode::Help => Line::raw("any key goes back"),
        Mode::Filter => Line::styled(format!("/{}", seen(&view.filter)), strong),
        Mode::Target { guest, text, .. } => {
            let note = if view.note.is_empty() { String::new() } else { format!("  {}", seen(&view.note)) };
            Line::styled(format!("Move {} to host: {}_{note}", seen(guest), seen(text)), strong)
        }
        Mode::Sure { host, guest, deed } => {
            let (guest, host) = (seen(guest), seen(host));
            let question = match deed {
                Deed::Suspend => format!("Suspend {guest} on {host}?"),
                Deed::Resume => format!("Resume {guest} on {host}?"),
                Deed::Migrate(target) => format!("Move {guest} from {host} to {}?", seen(target)),
                Deed::Console => format!("Open the console of {guest}?"),
            };
            Line::styled(format!("{question} [y/N]"), strong)
        }
        Mode::Table if !view.note.is_empty() => Line::styled(seen(&view.note), strong),
        Mode::Table => {
            let shown = view.guests(work).len();
            let filter = if view.filter.is_empty() {
                String::new()
            } else {
                format!("{shown} of {} with `{}`  ", work.guests.len(), seen(&view.filter))
            };
            let mut line = filter;
            // The help has them all.
            for key in ["q leave", "? help", "/ filter", "p pause", "m move", "c console", "< > sort"] {
                let gap = if line.is_empty() || line.ends_with("  ") { "" } else { "  " };
                if line.width() + gap.len() + key.len() <= width {
                    line.push_str(gap);
                    line.push_str(key);
                }
            }
            Line::raw(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::work;
    use super::*;
    use crate::model::Bytes;
    use crate::ui::Term;
    use insta::assert_snapshot;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn full() -> Work {
        let host = |name: &str, down: Option<&str>, cpu| HostWork {
            name: name.into(),
            down: down.map(ToOwned::to_owned),
            known: true,
            cpu,
            cpus: 8,
            used: Bytes(3 << 30),
            memory: Bytes(16 << 30),
        };
        let hosts = vec![
            host("h2-a", None, Some(12.0)),
            host("h2-b", None, None),
            host("h2-c", Some("no route"), None),
        ];
        Work { hosts, ..work() }
    }

    fn picture(width: u16, height: u16, view: &mut View) -> String {
        let work = full();
        view.follow(&work);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view, &work)).unwrap();
        let text = terminal.backend().to_string();
        text.lines().map(|line| bare(line).trim_end().to_owned() + "\n").collect()
    }

    /// Without the backend's own notes about wide characters.
    fn bare(line: &str) -> &str {
        let line = line.split_once("\" Hidden by").map_or(line, |(line, _)| line);
        line.trim_matches('"')
    }

    fn view() -> View {
        View::new(&Term::plain())
    }

    #[test]
    fn a_wide_terminal_shows_everything() {
        assert_snapshot!(picture(120, 10, &mut view()), @r"
        h2-a  cpu  12%  1/2 guests  3 GiB of 16 GiB  8 cpus
        h2-b  cpu    -  1/2 guests  3 GiB of 16 GiB  8 cpus
        h2-c  down: no route

        name                         host     state      cpu %                memory     read/s  written/s received/s     sent/s
        db                           h2-b     running     97.0        ▁▄█    512 MiB      1 MiB        0 B      2 KiB          -
        web                          h2-a     running     12.3        ▁▁▂    512 MiB      1 MiB        0 B      2 KiB          -
        日本                         h2-b     paused       1.0        ▁▁▁    512 MiB      1 MiB        0 B      2 KiB          -
        old                          h2-a     shut off       -                     -          -          -          -          -
        q leave  ? help  / filter  p pause  m move  c console  < > sort
        ");
    }

    #[test]
    fn a_narrow_terminal_shows_what_matters() {
        assert_snapshot!(picture(80, 10, &mut view()), @r"
        h2-a  cpu  12%  1/2 guests  3 GiB of 16 GiB  8 cpus
        h2-b  cpu    -  1/2 guests  3 GiB of 16 GiB  8 cpus
        h2-c  down: no route

        name       host     state      cpu %                memory     disk/s      net/s
        db         h2-b     running     97.0        ▁▄█    512 MiB      1 MiB      2 KiB
        web        h2-a     running     12.3        ▁▁▂    512 MiB      1 MiB      2 KiB
        日本       h2-b     paused       1.0        ▁▁▁    512 MiB      1 MiB      2 KiB
        old        h2-a     shut off       -                     -          -          -
        q leave  ? help  / filter  p pause  m move  c console  < > sort
        ");
        assert_snapshot!(picture(40, 10, &mut view()), @r"
        h2-a  cpu  12%  1/2 guests  8 cpus
        h2-b  cpu    -  1/2 guests  8 cpus
        h2-c  down: no route

        name           host     state      cpu %
        db             h2-b     running     97.0
        web            h2-a     running     12.3
        日本           h2-b     paused       1.0
        old            h2-a     shut off       -
        q leave  ? help  / filter  p pause
        ");
    }

    #[test]
    fn without_utf8_only_ascii_is_drawn() {
        let mut view = View { unicode: false, ..view() };
        view.filter = "h2-a".into();
        let text = picture(100, 12, &mut view);
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("2 of 4 with `h2-a`"), "{text}");
    }

    #[test]
    fn no_window_is_too_small() {
        for mode in [Mode::Table, Mode::Help, Mode::Filter] {
            for (width, height) in [(1, 1), (1, 40), (200, 1), (3, 3), (10, 5)] {
                picture(width, height, &mut View { mode: mode.clone(), ..view() });
            }
        }
    }

    #[test]
    fn what_is_asked_stands_below() {
        let mode = Mode::Sure {
            host: "h2-a".into(),
            guest: "web\x1b[2J".into(),
            deed: Deed::Migrate("h2-b".into()),
        };
        let text = picture(80, 8, &mut View { mode, ..view() });
        assert!(text.contains(r"Move web\x1b[2J from h2-a to h2-b? [y/N]"), "{text}");
    }
}
