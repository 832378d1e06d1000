//! The span of a publish: from reading it off the socket to the broker's answer.

use linnet_telemetry::{Context, Kind, Span, emit, span};

use super::message::Trace;
use crate::broker::Receipt;
use crate::config::Telemetry;
use crate::message::Message;
use crate::names::{ConnectionId, RoomName};
use crate::protocol::ErrorCode;

/// A publish that is under way.
#[derive(Debug, Clone)]
pub struct PublishSpan {
    context: Context,
    parent: Option<Context>,
    link: Option<Context>,
    start: u64,
    room: RoomName,
    bytes: usize,
    /// `None`: a service publishes.
    connection: Option<ConnectionId>,
}

impl PublishSpan {
    /// Begins the span of a message that `connection` publishes, and puts it down with the message. `own` gives a new
    /// span of the connection's trace and the one that it is part of, where that is recorded.
    ///
    /// A publisher that is trusted has the publish in its own trace, linked to the connection; one that is not only has
    /// it linked (DESIGN §9).
    pub fn begin(
        message: &mut Message,
        connection: ConnectionId,
        telemetry: Telemetry,
        own: impl FnOnce() -> Option<(Context, Context)>,
    ) {
        let caller = message.trace.take().map(|trace| trace.context);
        let trusted = caller.filter(|_| telemetry.trust_clients);
        if let Some(caller) = trusted
            && (!caller.sampled || !linnet_telemetry::queue::is_on())
        {
            // Whoever works on the message is to know that it is not recorded, or where it belongs.
            message.trace = Some(Box::new(Trace::of_caller(caller)));
            return;
        }
        let own = own();
        let (context, parent, link) = match (trusted, own) {
            (Some(caller), own) => (caller.child(), caller, own.map(|(_, root)| root)),
            (None, Some((context, root))) => (context, root, caller),
            (None, None) => return,
        };
        Self::put(message, context, Some(parent), link, Some(connection));
    }

    /// [`Self::begin`] for a message of a service. It is part of the service's own trace, where that is recorded, and
    /// `sampled` decides for a service that has none.
    pub fn begin_for_service(message: &mut Message, sampled: impl FnOnce() -> bool) {
        let caller = message.trace.take().map(|trace| trace.context);
        let context = match caller {
            Some(caller) if caller.sampled && linnet_telemetry::queue::is_on() => caller.child(),
            Some(caller) => {
                message.trace = Some(Box::new(Trace::of_caller(caller)));
                return;
            }
            None if sampled() => Context::new_trace(true),
            None => return,
        };
        Self::put(message, context, caller, None, None);
    }

    fn put(
        message: &mut Message,
        context: Context,
        parent: Option<Context>,
        link: Option<Context>,
        connection: Option<ConnectionId>,
    ) {
        let open = Self {
            context,
            parent,
            link,
            start: span::now(),
            room: message.room.clone(),
            bytes: message.data.len(),
            connection,
        };
        message.trace = Some(Box::new(Trace {
            context,
            open: Some(Box::new(open)),
        }));
    }

    /// The broker has it.
    pub fn accepted(open: Option<Box<Self>>, receipt: &Receipt) {
        let Some(open) = open else { return };
        let mut span = open.ended();
        if let Some((_, offset)) = &receipt.position {
            span = span.with("linnet.message.offset", offset.0);
        }
        if receipt.duplicate {
            span = span.with("linnet.message.duplicate", true);
        }
        emit(span);
    }

    /// It was refused.
    pub fn refused(open: Option<Box<Self>>, code: ErrorCode) {
        if let Some(open) = open {
            emit(open.ended().failed(code.as_str()));
        }
    }

    fn ended(self) -> Span {
        let mut span = Span::ended("publish", Kind::Producer, self.context, self.start)
            .linked(self.link)
            .with("messaging.system", "linnet")
            .with("messaging.operation.name", "publish")
            .with("messaging.operation.type", "send")
            .with("messaging.destination.name", self.room.shared())
            .with("messaging.message.body.size", self.bytes);
        if let Some(parent) = &self.parent {
            span = span.of(parent);
        }
        match self.connection {
            Some(connection) => span.with("linnet.connection.id", connection.to_string()),
            None => span,
        }
    }
}
