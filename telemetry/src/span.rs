//! A piece of work that is over, as data: made where the work was done, sent elsewhere.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Context;

/// A finished span.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What was done; one of few.
    pub name: Cow<'static, str>,
    /// On which side.
    pub kind: Kind,
    /// Its place in its trace.
    pub context: Context,
    /// The span that it is part of.
    pub parent: Option<[u8; 8]>,
    /// Nanoseconds since the Unix epoch.
    pub start: u64,
    /// The same.
    pub end: u64,
    /// What is known of it.
    pub attributes: Vec<(Cow<'static, str>, Value)>,
    /// Spans that it has to do with.
    pub links: Vec<Context>,
    /// What went wrong, as a code; `None`: nothing.
    pub error: Option<Cow<'static, str>>,
}

/// On which side of a conversation a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Neither.
    Internal,
    /// Somebody asked for it.
    Server,
    /// It asked somebody else.
    Client,
    /// It gave a message away.
    Producer,
    /// It took a message.
    Consumer,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One of few texts.
    Word(&'static str),
    /// A text that is shared.
    Shared(Arc<str>),
    /// Any other text.
    Text(Box<str>),
    /// A number.
    Integer(i64),
    /// A fraction.
    Float(f64),
    /// Yes or no.
    Flag(bool),
}

impl Span {
    /// A span that begins at `start` and ends now.
    #[must_use]
    pub fn ended(name: &'static str, kind: Kind, context: Context, start: u64) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind,
            context,
            parent: None,
            start,
            end: now().max(start),
            attributes: Vec::new(),
            links: Vec::new(),
            error: None,
        }
    }

    /// The same as part of another.
    #[must_use]
    pub fn of(mut self, parent: &Context) -> Self {
        self.parent = Some(parent.span);
        self
    }

    /// The same with an attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// The same with a link, if there is one.
    #[must_use]
    pub fn linked(mut self, to: impl IntoIterator<Item = Context>) -> Self {
        self.links.extend(to);
        self
    }

    /// The same as a failure, named by a code (`error.type`).
    #[must_use]
    pub fn failed(mut self, code: &'static str) -> Self {
        self.error = Some(Cow::Borrowed(code));
        self.with("error.type", code)
    }
}

/// Nanoseconds since the Unix epoch.
#[must_use]
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<Arc<str>> for Value {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Integer(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}
