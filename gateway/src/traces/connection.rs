//! The trace of one connection: from its handshake to its totals, rolled over before it grows without end.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use linnet_telemetry::{Context, Kind, Span, context, emit, queue, span};

use super::hooks::rate;
use crate::config::Telemetry;
use crate::names::{ConnectionId, RoomName};
use crate::protocol::{ErrorCode, Protocol, Subscribed};
use crate::session::Session;
use crate::transport::Transport;

/// Spans of one trace; what reads traces chokes on longer ones (DESIGN §9).
const SPANS: u32 = 1000;
/// Longest life of one trace.
const LIFE: Duration = Duration::from_secs(3600);
/// Subscribes whose answers are awaited with their times; a client that asks for more at once has the rest untimed.
const AWAITED: usize = 64;

/// The trace of a connection that is recorded.
#[derive(Debug)]
pub struct ConnectionTrace {
    connection: Option<ConnectionId>,
    /// The `connection` span that all others are part of.
    root: Context,
    /// The client's own span.
    caller: Option<Context>,
    trusted: bool,
    spans: u32,
    part: u32,
    begun: Instant,
    opened: u64,
    awaited: Vec<Awaited>,
    totals: Totals,
}

#[derive(Debug)]
struct Awaited {
    room: RoomName,
    start: u64,
    resumes: bool,
}

/// What a connection did, all in all.
#[derive(Debug, Default)]
struct Totals {
    messages_in: u64,
    messages_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    refusals: u64,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The gateway closed it, for this error if it was one.
    Gateway(Option<ErrorCode>),
    /// The client closed it.
    Client,
    /// The socket ended without a word.
    Lost,
}

impl ConnectionTrace {
    /// Decides whether a connection is traced: by its client's own trace where that is trusted, else by chance.
    #[must_use]
    pub fn begin(telemetry: Telemetry, caller: Option<Context>) -> Option<Box<Self>> {
        if !queue::is_on() {
            return None;
        }
        let trusted = caller.filter(|_| telemetry.trust_clients);
        let root = match trusted {
            Some(caller) => caller.sampled.then(|| caller.child())?,
            None => context::chance(rate(telemetry)).then(|| Context::new_trace(true))?,
        };
        Some(Box::new(Self::new(root, caller, trusted.is_some())))
    }

    pub(super) fn new(root: Context, caller: Option<Context>, trusted: bool) -> Self {
        Self {
            connection: None,
            root,
            caller,
            trusted,
            spans: 1,
            part: 1,
            begun: Instant::now(),
            opened: span::now(),
            awaited: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// The handshake is done.
    pub fn opened(
        &mut self,
        session: &Session,
        protocol: &dyn Protocol,
        transport: Transport,
        client: IpAddr,
    ) {
        self.connection = Some(session.connection());
        let mut span = self
            .span("connection", Kind::Server, self.root, self.opened)
            .with("network.protocol.name", transport.as_str())
            .with("linnet.protocol", protocol.subprotocol())
            .with("client.address", client.to_string())
            .with("http.response.status_code", transport.opening_status());
        match self.caller {
            Some(caller) if self.trusted => span = span.of(&caller),
            caller => span = span.linked(caller),
        }
        emit(span);
    }

    /// The client goes on by another way.
    pub fn switched(&mut self, transport: Transport) {
        let (context, root) = self.child();
        let span = self.span("upgrade", Kind::Server, context, span::now());
        emit(
            span.of(&root)
                .with("network.protocol.name", transport.as_str()),
        );
    }

    /// The trace's id, for logs.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.root.trace_id()
    }

    /// A new span, and the one that it is part of.
    pub fn child(&mut self) -> (Context, Context) {
        if self.spans >= SPANS || self.begun.elapsed() >= LIFE {
            self.roll_over();
        }
        self.spans += 1;
        (self.root.child(), self.root)
    }

    /// Goes on in a new trace, which is linked to the one before.
    fn roll_over(&mut self) {
        let before = std::mem::replace(&mut self.root, Context::new_trace(true));
        (self.spans, self.begun) = (1, Instant::now());
        self.part += 1;
        let span = self
            .span("connection", Kind::Server, self.root, span::now())
            .with("linnet.trace.part", u64::from(self.part))
            .linked([before]);
        emit(span);
    }

    /// So many bytes were read.
    pub fn read(&mut self, bytes: usize) {
        self.totals.bytes_in += bytes as u64;
    }

    /// The client has published or sent a message.
    pub fn published(&mut self) {
        self.totals.messages_in += 1;
    }

    /// So many messages were written to it, or wait for it.
    pub fn delivered(&mut self, messages: u64) {
        self.totals.messages_out += messages;
    }

    /// The socket took so many bytes.
    pub fn wrote(&mut self, bytes: usize) {
        self.totals.bytes_out += bytes as u64;
    }

    /// The client asks for a room, `resumes` where it comes back to it.
    pub fn subscribes(&mut self, room: &RoomName, resumes: bool) {
        if self.awaited.len() < AWAITED {
            self.awaited.push(Awaited {
                room: room.clone(),
                start: span::now(),
                resumes,
            });
        }
    }

    /// It has its answer.
    pub fn subscribed(&mut self, room: &RoomName, outcome: &Subscribed) {
        let found = self.awaited.iter().position(|of| of.room == *room);
        let (start, resumes) = match found.map(|index| self.awaited.remove(index)) {
            Some(awaited) => (awaited.start, awaited.resumes),
            None => (span::now(), outcome.recovered.is_some()),
        };
        let name = if resumes { "resume" } else { "subscribe" };
        let (context, root) = self.child();
        let mut span = self
            .span(name, Kind::Server, context, start)
            .of(&root)
            .with("messaging.system", "linnet")
            .with("messaging.destination.name", room.shared());
        if let Some((epoch, offset)) = &outcome.position {
            span = span
                .with("linnet.epoch", epoch.as_str().to_owned())
                .with("linnet.message.offset", offset.0);
        }
        if let Some(recovered) = outcome.recovered {
            // What was missed lies in other traces: those of its publishers.
            let publishes = outcome.messages.iter().filter_map(|message| {
                let trace = message.trace.as_ref()?;
                trace.context.sampled.then_some(trace.context)
            });
            span = span
                .linked(publishes)
                .with("linnet.resume.recovered", recovered)
                .with("linnet.resume.messages", outcome.messages.len())
                .with("linnet.resume.more", outcome.more);
        }
        emit(span);
    }

    /// A request was refused.
    pub fn refused(&mut self, code: ErrorCode) {
        self.totals.refusals += 1;
        let (context, root) = self.child();
        let span = self.span("request", Kind::Server, context, span::now());
        emit(span.of(&root).failed(code.as_str()));
    }

    /// The connection is over.
    pub fn closed(mut self, session: &Session, code: u16, end: End) {
        let (context, root) = self.child();
        let span = self.span("close", Kind::Server, context, span::now());
        let seconds = span.end.saturating_sub(self.opened) as f64 / 1e9;
        let totals = &self.totals;
        let mut span = ending(span.of(&root), session, code, end)
            .with("linnet.connection.messages_received", totals.messages_in)
            .with("linnet.connection.messages_delivered", totals.messages_out)
            .with("linnet.connection.bytes_received", totals.bytes_in)
            .with("linnet.connection.bytes_sent", totals.bytes_out)
            .with("linnet.connection.refusals", totals.refusals);
        let duration = linnet_telemetry::Value::Float(seconds);
        span.attributes
            .push(("linnet.connection.duration_s".into(), duration));
        emit(span);
    }

    /// A span with what all of this connection have.
    fn span(&self, name: &'static str, kind: Kind, context: Context, start: u64) -> Span {
        let span = Span::ended(name, kind, context, start);
        match self.connection {
            Some(connection) => span.with("linnet.connection.id", connection.to_string()),
            None => span,
        }
    }
}

impl End {
    /// Whether a connection that is not traced tells of its end in any case.
    #[must_use]
    pub fn is_error(self) -> bool {
        // Neither drain nor a newer connection of the same user is one, and both concern many at once.
        let usual = |code| matches!(code, Some(ErrorCode::Draining | ErrorCode::Replaced));
        matches!(self, Self::Gateway(code) if !usual(code))
    }
}

/// Says how a connection ended.
pub(super) fn ending(span: Span, session: &Session, code: u16, end: End) -> Span {
    let mut span = span.with("linnet.close.code", code);
    if let Some(user) = session.user() {
        span = span.with("user.id", user.as_str().to_owned());
    }
    span = match end {
        End::Gateway(Some(error)) => span.with("linnet.close.reason", error.as_str()),
        End::Gateway(None) => span.with("linnet.close.reason", "protocol_error"),
        End::Client => span.with("linnet.close.reason", "client"),
        End::Lost => span.with("linnet.close.reason", "lost"),
    };
    match end {
        End::Gateway(Some(error)) if end.is_error() => span.failed(error.as_str()),
        End::Gateway(None) => span.failed("protocol_error"),
        _ => span,
    }
}
