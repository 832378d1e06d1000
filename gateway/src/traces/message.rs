//! What of a trace travels with a message.

use linnet_telemetry::{Context, queue};

use super::PublishSpan;

/// A message's place in a trace.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The span that published it; before the gateway has begun one, the publisher's own.
    pub context: Context,
    /// That span, on its way to whoever ends it.
    pub open: Option<Box<PublishSpan>>,
}

impl Trace {
    /// Of a publisher that says so.
    #[must_use]
    pub fn of_caller(context: Context) -> Self {
        Self {
            context,
            open: None,
        }
    }

    /// Of a message that came through NATS. Kept only where it is of use: rings hold many messages.
    #[must_use]
    pub fn received(traceparent: &str) -> Option<Box<Self>> {
        if !queue::is_on() {
            return None;
        }
        let context = Context::parse(traceparent).filter(|context| context.sampled)?;
        Some(Box::new(Self::of_caller(context)))
    }
}
