//! Draws a picture.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::widgets::{Block, Row, Table};

use super::picture::{Line, Picture};

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, picture: &Picture) {
    let gateways = picture.gateways.len() as u16 + 3;
    let rows = Layout::vertical([Constraint::Length(gateways), Constraint::Min(4)]);
    let [above, below] = rows.areas(frame.area());
    let columns = Layout::horizontal([
        Constraint::Fill(2),
        Constraint::Fill(1),
        Constraint::Fill(2),
    ]);
    let [left, middle, right] = columns.areas(below);
    draw_gateways(frame, above, &picture.gateways);
    let rooms = picture.rooms.iter().map(|(room, subscribers, messages)| {
        Row::new([
            printable(room),
            subscribers.to_string(),
            messages.to_string(),
        ])
    });
    table(
        frame,
        left,
        "rooms",
        ["room", "here", "messages"],
        rooms.collect(),
    );
    let users = picture.users.iter().map(|(user, connections)| {
        Row::new([printable(user), connections.to_string(), String::new()])
    });
    table(
        frame,
        middle,
        "users",
        ["user", "connections", ""],
        users.collect(),
    );
    let slow = picture
        .slow
        .iter()
        .map(|(id, user, bytes)| Row::new([id.clone(), printable(user), size(*bytes as f64)]));
    table(
        frame,
        right,
        "slow clients",
        ["connection", "user", "waits"],
        slow.collect(),
    );
}

fn draw_gateways(frame: &mut Frame<'_>, area: Rect, gateways: &[Line]) {
    let rows = gateways.iter().map(|of| {
        let time = |seconds: Option<f64>| match seconds {
            None => "-".to_owned(),
            Some(seconds) if seconds.is_infinite() => ">10 s".to_owned(),
            Some(seconds) => format!("≤{} ms", (seconds * 1e5).round() / 100.0),
        };
        let row = Row::new([
            printable(&of.name),
            printable(&of.state),
            format!("{:.0}", of.connections),
            format!("{:.1}", of.received),
            format!("{:.1}", of.delivered),
            size(of.bytes_out),
            time(of.p50),
            time(of.p99),
            format!("{:.0}", of.slow),
            size(of.memory),
        ]);
        match of.state.as_str() {
            "ok" => row,
            _ => row.style(Style::new().fg(Color::Red)),
        }
    });
    let header = [
        "gateway", "state", "conns", "in/s", "out/s", "bytes/s", "p50", "p99", "slow", "memory",
    ];
    // Why one can't be asked is longer than any name.
    let wide = [Constraint::Fill(1), Constraint::Fill(2)];
    let widths = wide.into_iter().chain([Constraint::Length(10); 8]);
    let table = Table::new(rows, widths).header(Row::new(header).bold());
    let block = Block::bordered().title(" linnet: q ends ");
    frame.render_widget(table.block(block), area);
}

fn table(frame: &mut Frame<'_>, area: Rect, title: &str, header: [&str; 3], rows: Vec<Row<'_>>) {
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(11),
        Constraint::Length(10),
    ];
    let table = Table::new(rows, widths).header(Row::new(header).bold());
    let block = Block::bordered().title(format!(" {title} "));
    frame.render_widget(table.block(block), area);
}

/// Clients choose names: what a terminal would obey is not shown.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let mut bytes = bytes;
    let mut at = 0;
    while bytes >= 1024.0 && at + 1 < units.len() {
        bytes /= 1024.0;
        at += 1;
    }
    format!("{bytes:.1} {}", units[at])
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    #[test]
    fn a_picture_shows_gateways_rooms_users_and_slow_clients_and_obeys_no_name() {
        let picture = Picture {
            gateways: vec![Line {
                name: "chat-0".into(),
                state: "ok".into(),
                connections: 12.0,
                p99: Some(0.0025),
                memory: 3.0 * 1024.0 * 1024.0,
                ..Line::default()
            }],
            rooms: vec![("lob\u{1b}[2Jby".into(), 4, 77)],
            users: vec![("ann".into(), 3)],
            slow: vec![("01J".into(), "bob".into(), 2048)],
        };
        let mut terminal = Terminal::new(TestBackend::new(140, 12)).unwrap();
        terminal.draw(|frame| draw(frame, &picture)).unwrap();
        let shown = terminal.backend().to_string();
        for part in [
            "chat-0",
            "12",
            "≤2.5 ms",
            "3.0 MiB",
            "77",
            "ann",
            "bob",
            "2.0 KiB",
            "lob\u{fffd}[2Jby",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'));
    }
}
