//! Asks and draws, again and again, until `q`.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};

use super::draw::draw;
use super::fetch::{Resolved, ask, resolve};
use super::picture::{Answers, Picture};

/// The size of a picture where there is no terminal.
const PAGE: (u16, u16) = (160, 40);

/// What to show, and how often.
#[derive(Debug, Clone)]
pub struct Options {
    /// Internal ports, as HOST:PORT; a host with several addresses is as many gateways.
    pub gateways: Vec<String>,
    /// Between two looks.
    pub every: Duration,
    /// How many rooms, users and clients.
    pub most: usize,
    /// One picture as plain text, after two looks.
    pub once: bool,
    /// The file whose first line is an API key.
    pub key_file: Option<PathBuf>,
}

impl Options {
    /// The API key.
    fn key(&self) -> io::Result<Option<String>> {
        let Some(path) = &self.key_file else {
            return Ok(None);
        };
        let unreadable = |error| io::Error::other(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Ok(text.lines().next().map(|line| line.trim().to_owned()))
    }
}

/// Shows gateways until `q`.
///
/// # Errors
/// When the terminal can't be used, or one picture is asked for and no name is known.
pub fn run(options: &Options) -> io::Result<()> {
    let key = options.key()?;
    let key = key.as_deref();
    if options.once || !io::stdout().is_terminal() {
        return print_one(options, key);
    }
    let mut terminal = ratatui::try_init()?;
    let outcome = show(options, key, |picture| {
        terminal.draw(|frame| draw(frame, picture)).map(drop)
    });
    ratatui::restore();
    outcome
}

fn print_one(options: &Options, key: Option<&str>) -> io::Result<()> {
    let Resolved { gateways, unknown } = resolve(&options.gateways);
    if let (true, Some((name, why))) = (gateways.is_empty(), unknown.first()) {
        return Err(io::Error::other(format!("{name}: {why}")));
    }
    let before = look(&gateways, options.most, key);
    std::thread::sleep(options.every);
    let now = look(&gateways, options.most, key);
    let picture = Picture::between(&before, &now, options.most).with_unknown(unknown);
    let backend = TestBackend::new(PAGE.0, PAGE.1);
    let mut terminal = Terminal::new(backend).map_err(io::Error::other)?;
    terminal
        .draw(|frame| draw(frame, &picture))
        .map_err(io::Error::other)?;
    let mut out = io::stdout();
    for line in terminal.backend().to_string().lines() {
        let line = line
            .trim_start_matches('"')
            .trim_end_matches('"')
            .trim_end();
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn show(
    options: &Options,
    key: Option<&str>,
    mut draw: impl FnMut(&Picture) -> io::Result<()>,
) -> io::Result<()> {
    let mut before = Answers::new();
    loop {
        draw(&next(options, key, &mut before))?;
        let until = Instant::now() + options.every;
        while let Some(rest) = until.checked_duration_since(Instant::now()) {
            if event::poll(rest)? && is_end(&event::read()?) {
                return Ok(());
            }
        }
    }
}

/// Looks once more, and tells what happened since `before`, which this look becomes.
fn next(options: &Options, key: Option<&str>, before: &mut Answers) -> Picture {
    // Anew each time: gateways of a channel come and go, and so does who knows their names.
    let Resolved { gateways, unknown } = resolve(&options.gateways);
    let now = look(&gateways, options.most, key);
    let picture = Picture::between(before, &now, options.most).with_unknown(unknown);
    *before = now;
    picture
}

fn look(gateways: &[SocketAddr], most: usize, key: Option<&str>) -> Answers {
    // Side by side: one that hangs is not to hold up the others.
    std::thread::scope(|scope| {
        let asked = gateways.iter().map(|address| {
            let thread =
                scope.spawn(move || ask(*address, most, key).map_err(|error| error.to_string()));
            (*address, thread)
        });
        let asked: Vec<_> = asked.collect();
        let answers = asked.into_iter().map(|(address, thread)| {
            let answer = thread.join();
            (
                address,
                answer.unwrap_or_else(|_| Err("could not be asked".into())),
            )
        });
        answers.collect()
    })
}

fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
        || (control && key.code == KeyCode::Char('c'))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_name_that_is_not_known_is_shown_beside_the_others_and_ends_nothing() {
        // Bound and given back: nobody answers there.
        let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let away = away.unwrap().to_string();
        let options = Options {
            gateways: vec!["chat-pods".into(), away.clone()],
            every: Duration::ZERO,
            most: 5,
            once: false,
            key_file: None,
        };
        let mut before = Answers::new();
        for _ in 0..2 {
            let lines = next(&options, None, &mut before).gateways;
            assert_eq!((lines[0].name.as_str(), lines.len()), (away.as_str(), 2));
            assert_eq!(lines[1].name, "chat-pods");
            assert!(lines[1].state.contains("expected HOST:PORT"), "{lines:?}");
        }
        let unknown = Options {
            gateways: vec!["chat-pods".into()],
            ..options
        };
        let error = print_one(&unknown, None).unwrap_err().to_string();
        assert!(error.starts_with("chat-pods: "), "{error}");
    }
}
