//! What stands in a stream of events (HTML, "Server-sent events", §9.2.5).

use std::io::Write;
use std::time::Duration;

/// Appends an event. Without a name it is a `message`, which `onmessage` of an `EventSource` hears.
pub(super) fn event(name: Option<&str>, id: Option<&str>, data: &[u8], out: &mut Vec<u8>) {
    out.reserve(data.len() + id.map_or(0, str::len) + 48);
    if let Some(id) = id {
        line("id", id.as_bytes(), out);
    }
    if let Some(name) = name {
        line("event", name.as_bytes(), out);
    }
    // JSON may be written in several lines; the receiver joins them again.
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        line("data", &rest[..end], out);
        let both = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(both)..];
    }
    line("data", rest, out);
    out.push(b'\n');
}

/// Appends a position without an event: the client sends it back, and tells nobody.
pub(super) fn position(id: &str, out: &mut Vec<u8>) {
    line("id", id.as_bytes(), out);
    out.push(b'\n');
}

/// Appends how long the client waits before it comes back.
pub(super) fn retry(wait: Duration, out: &mut Vec<u8>) {
    let _ = write!(out, "retry: {}\n\n", wait.as_millis()); // writing to a Vec cannot fail
}

/// Appends what keeps proxies from taking the stream for dead, and tells people something.
pub(super) fn comment(text: &str, out: &mut Vec<u8>) {
    line("", text.as_bytes(), out);
    out.push(b'\n');
}

fn line(field: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(field.as_bytes());
    out.push(b':');
    if !value.is_empty() {
        out.push(b' ');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_event_is_its_fields_and_an_empty_line() {
        let text = written(|out| event(Some("gap"), Some("abc"), b"{}", out));
        assert_eq!(text, "id: abc\nevent: gap\ndata: {}\n\n");
        let text = written(|out| event(None, None, b"1", out));
        assert_eq!(text, "data: 1\n\n");
    }

    #[test]
    fn data_of_several_lines_stays_one_event() {
        let text = written(|out| event(None, None, b"{\n\"a\":\r\n1\r}", out));
        assert_eq!(text, "data: {\ndata: \"a\":\ndata: 1\ndata: }\n\n");
        let text = written(|out| event(None, None, b"1\n", out));
        assert_eq!(text, "data: 1\ndata:\n\n");
    }

    #[test]
    fn what_is_no_event_ends_with_an_empty_line_too() {
        assert_eq!(written(|out| position("abc", out)), "id: abc\n\n");
        assert_eq!(written(|out| comment("", out)), ":\n\n");
        let text = written(|out| retry(Duration::from_millis(1500), out));
        assert_eq!(text, "retry: 1500\n\n");
    }
}
