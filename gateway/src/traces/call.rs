//! The span of a call to the channel's handler: from what caused it to the answer.

use linnet_telemetry::{Context, Kind, Span, emit, queue, span};

use crate::config::Telemetry;
use crate::names::ConnectionId;

/// A call that is under way.
#[derive(Debug, Default)]
pub struct CallSpan {
    passed: Option<Context>,
    open: Option<Box<Open>>,
}

#[derive(Debug)]
struct Open {
    context: Context,
    parent: Context,
    link: Option<Context>,
    start: u64,
    connection: ConnectionId,
}

impl CallSpan {
    /// Begins the span of what `connection` causes. `own` gives a new span of the connection's trace and the one that it is
    /// part of, where that is recorded.
    ///
    /// A client that is trusted has the call in its own trace, linked to the connection; one that is not only has it
    /// linked (DESIGN §9).
    #[must_use]
    pub fn begin(
        caller: Option<Context>,
        telemetry: Telemetry,
        connection: ConnectionId,
        own: impl FnOnce() -> Option<(Context, Context)>,
    ) -> Self {
        let trusted = caller.filter(|_| telemetry.trust_clients);
        if let Some(caller) = trusted
            && (!caller.sampled || !queue::is_on())
        {
            // The back end is to know that it is not recorded, or where it belongs.
            return Self {
                passed: Some(caller),
                open: None,
            };
        }
        let (context, parent, link) = match (trusted, own()) {
            (Some(caller), own) => (caller.child(), caller, own.map(|(_, root)| root)),
            (None, Some((context, root))) => (context, root, caller),
            (None, None) => return Self::default(),
        };
        Self {
            passed: Some(context),
            open: Some(Box::new(Open {
                context,
                parent,
                link,
                start: span::now(),
                connection,
            })),
        }
    }

    /// The same, where the back end is to get no `traceparent`.
    #[must_use]
    pub fn unpassed(self) -> Self {
        Self {
            passed: None,
            ..self
        }
    }

    /// What the back end gets as `traceparent`.
    #[must_use]
    pub fn passed(&self) -> Option<Context> {
        self.passed
    }

    /// The trace's id, for log lines, where it is recorded.
    #[must_use]
    pub fn trace_id(&self) -> Option<String> {
        self.open.as_ref().map(|open| open.context.trace_id())
    }

    /// The call is over: with this outcome, or this failure.
    pub fn ended(self, event: &'static str, outcome: Result<&'static str, &'static str>) {
        let Some(open) = self.open else { return };
        let span = Span::ended("handler", Kind::Client, open.context, open.start)
            .of(&open.parent)
            .linked(open.link)
            .with("linnet.handler.event", event)
            .with("linnet.connection.id", open.connection.to_string());
        emit(match outcome {
            Ok(outcome) => span.with("linnet.handler.outcome", outcome),
            Err(code) => span.with("linnet.handler.outcome", code).failed(code),
        });
    }
}
