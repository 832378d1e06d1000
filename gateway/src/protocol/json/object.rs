//! Objects and strings of JSON, as they are written.

use std::fmt::Write as _;

use crate::protocol::RequestId;

/// A JSON object that is being written.
pub struct Object {
    text: String,
    first: bool,
}

impl Object {
    /// One of this `type`, for which room is made.
    pub fn new(kind: &str, capacity: usize) -> Self {
        let mut object = Self::behind(String::with_capacity(capacity));
        object.string("type", kind);
        object
    }

    /// One behind other text.
    pub fn behind(mut text: String) -> Self {
        text.push('{');
        Self { text, first: true }
    }

    fn key(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    pub fn number(&mut self, name: &str, value: u64) {
        self.raw(name, format_args!("{value}"));
    }

    /// A value that is JSON text already.
    pub fn raw(&mut self, name: &str, json: std::fmt::Arguments<'_>) {
        self.key(name);
        let _ = self.text.write_fmt(json); // writing to a String cannot fail
    }

    pub fn string(&mut self, name: &str, value: &str) {
        self.key(name);
        push_string(&mut self.text, value);
    }

    pub fn id(&mut self, id: Option<&RequestId>) {
        match id {
            None => {}
            Some(RequestId::Number(number)) => self.number("id", *number),
            Some(RequestId::Text(text)) => self.string("id", text),
            Some(RequestId::Packet(_)) => {} // of another protocol
        }
    }

    pub fn list<T>(&mut self, name: &str, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.key(name);
        self.text.push('[');
        for (index, item) in items.iter().enumerate() {
            self.text.push_str(if index > 0 { ",{" } else { "{" });
            self.first = true;
            write(self, item);
            self.text.push('}');
        }
        self.text.push(']');
        self.first = false;
    }

    /// An object in it.
    pub fn object(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.key(name);
        self.text.push('{');
        self.first = true;
        write(self);
        self.text.push('}');
        self.first = false;
    }

    /// The object, and the text that it stands behind.
    pub fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }
}

/// Appends a JSON string (RFC 8259 §7).
pub fn push_string(out: &mut String, value: &str) {
    out.push('"');
    let mut rest = value;
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            control => {
                let _ = write!(out, "\\u{control:04x}"); // writing to a String cannot fail
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
