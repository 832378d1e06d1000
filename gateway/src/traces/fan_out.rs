//! The span of a fan-out: one for each batch of a room and each gateway that hands it to its subscribers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use linnet_telemetry::{Context, Kind, Span, emit, span};

use crate::message::{Message, unix_milliseconds};
use crate::names::RoomName;

/// Links that a span has at most: as many as the default of `OTEL_SPAN_LINK_COUNT_LIMIT`.
const LINKS: usize = 128;

/// A batch that is handed out. The shards that do so share it, and it ends when the last of them lets go of the batch.
#[derive(Debug)]
pub struct FanOutSpan(Box<Open>);

#[derive(Debug)]
struct Open {
    context: Context,
    /// The first publish, so that the picture is one also where links are not shown.
    parent: Context,
    links: Vec<Context>,
    start: u64,
    room: RoomName,
    messages: usize,
    /// Milliseconds from the first message's time to this gateway having it.
    lag: Option<u64>,
    deliveries: AtomicU64,
}

impl FanOutSpan {
    /// Begins, where one of the messages is traced.
    #[must_use]
    pub fn begin(room: &RoomName, messages: &[Arc<Message>]) -> Option<Self> {
        let traced = |message: &Arc<Message>| {
            let trace = message.trace.as_ref()?;
            trace.context.sampled.then_some(trace.context)
        };
        let parent = messages.iter().find_map(traced)?;
        let first = messages.first()?.timestamp;
        let lag = (first != 0).then(|| unix_milliseconds().saturating_sub(first));
        Some(Self(Box::new(Open {
            context: parent.child(),
            parent,
            links: messages.iter().filter_map(traced).take(LINKS).collect(),
            start: span::now(),
            room: room.clone(),
            messages: messages.len(),
            lag,
            deliveries: AtomicU64::new(0),
        })))
    }

    /// So many connections were written to.
    pub fn delivered(&self, connections: u64) {
        self.0.deliveries.fetch_add(connections, Relaxed);
    }

    /// How many it says.
    #[cfg(test)]
    pub fn deliveries(&self) -> u64 {
        self.0.deliveries.load(Relaxed)
    }

    /// The trace, for exemplars.
    #[must_use]
    pub fn trace(&self) -> Context {
        self.0.context
    }
}

impl Drop for FanOutSpan {
    fn drop(&mut self) {
        let Open {
            context,
            parent,
            links,
            start,
            room,
            messages,
            lag,
            deliveries,
        } = &mut *self.0;
        let mut span = Span::ended("fan-out", Kind::Consumer, *context, *start)
            .of(parent)
            .linked(std::mem::take(links))
            .with("messaging.system", "linnet")
            .with("messaging.operation.name", "fan-out")
            .with("messaging.operation.type", "process")
            .with("messaging.destination.name", room.shared())
            .with("messaging.batch.message_count", *messages)
            .with("linnet.fan_out.connections", deliveries.load(Relaxed));
        if let Some(lag) = *lag {
            span = span.with("linnet.fan_out.lag_ms", lag);
        }
        emit(span);
    }
}
