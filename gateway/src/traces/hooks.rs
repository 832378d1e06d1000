//! What shards and the public port call, so that there it is one line each.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use http::HeaderMap;
use linnet_telemetry::{Context, Kind, Settings, Span, context, emit, queue, span};

use super::call::CallSpan;
use super::connection::{End, ending};
use super::fan_out::FanOutSpan;
use super::publish::PublishSpan;
use crate::config::Telemetry;
use crate::hub::CommandKind;
use crate::message::Message;
use crate::names::RoomName;
use crate::transport::Transport;
use crate::transport::shard::connection::Connection;

/// What the environment says, which holds before the manifest.
#[derive(Debug, Clone, Copy)]
struct Decided {
    sampling: Option<u32>,
    propagates: bool,
}

static DECIDED: OnceLock<Decided> = OnceLock::new();

/// What the environment says of sampling and propagation holds from now on.
pub fn decide_by_environment(settings: &Settings) {
    let decided = Decided {
        sampling: settings.sampling,
        propagates: settings.propagates,
    };
    let _ = DECIDED.set(decided); // only the first time counts, as a process has one environment
}

/// How many connections of a million are traced.
#[must_use]
pub fn rate(telemetry: Telemetry) -> u32 {
    let decided = DECIDED.get().and_then(|decided| decided.sampling);
    decided.unwrap_or(telemetry.sampling)
}

/// A client's own trace, as the header `traceparent` of its handshake says.
#[must_use]
pub fn caller(headers: &HeaderMap) -> Option<Context> {
    if !queue::is_on() || DECIDED.get().is_some_and(|decided| !decided.propagates) {
        return None;
    }
    let mut values = headers.get_all("traceparent").iter();
    let text = values.next()?.to_str().ok()?;
    // More than one is none (W3C Trace Context §4.3).
    values.next().is_none().then(|| Context::parse(text))?
}

/// A batch is about to be handed out.
#[must_use]
pub fn fan_out(room: &RoomName, messages: &[Arc<Message>]) -> Option<FanOutSpan> {
    queue::is_on().then(|| FanOutSpan::begin(room, messages))?
}

/// The session lets a request through to the hub.
pub fn asked(connection: &mut Connection, telemetry: Telemetry, kind: &mut CommandKind) {
    match kind {
        CommandKind::Publish { message, .. } => {
            let trace = &mut connection.trace;
            if let Some(trace) = trace {
                trace.published();
            } else if message.trace.is_none() {
                return;
            }
            if DECIDED.get().is_some_and(|decided| !decided.propagates) {
                message.trace = None;
            }
            let own = || trace.as_mut().map(|trace| trace.child());
            PublishSpan::begin(message, connection.session.connection(), telemetry, own);
        }
        CommandKind::Send { message, .. } => {
            message.trace = None; // what is for one user is not followed
            if let Some(trace) = &mut connection.trace {
                trace.published();
            }
        }
        CommandKind::Subscribe { room, since, .. } => {
            if let Some(trace) = &mut connection.trace {
                trace.subscribes(room, since.is_some());
            }
        }
        _ => {}
    }
}

/// A service's message is about to go to the hub. What it says of its own trace is with the message.
pub fn published_by_service(message: &mut Message, telemetry: Telemetry) {
    if DECIDED.get().is_some_and(|decided| !decided.propagates) {
        message.trace = None;
    }
    let sampled = || queue::is_on() && context::chance(rate(telemetry));
    PublishSpan::begin_for_service(message, sampled);
}

/// The channel's handler is about to be asked, for a client that has told its own trace, or not.
pub fn calls(
    connection: &mut Connection,
    telemetry: Telemetry,
    caller: Option<Context>,
) -> CallSpan {
    let propagates = DECIDED.get().is_none_or(|decided| decided.propagates);
    let caller = caller.filter(|_| propagates);
    let id = connection.session.connection();
    let trace = &mut connection.trace;
    let own = || trace.as_mut().map(|trace| trace.child());
    let span = CallSpan::begin(caller, telemetry, id, own);
    match propagates {
        true => span,
        false => span.unpassed(),
    }
}

/// A connection has ended. Without a trace of its own, only an error is told.
pub fn closed(connection: &mut Connection, code: u16, end: End) {
    match connection.trace.take() {
        Some(trace) => trace.closed(&connection.session, code, end),
        None if end.is_error() && queue::is_on() => {
            let span = Span::ended("close", Kind::Server, Context::new_trace(true), span::now());
            let id = connection.session.connection().to_string();
            let span = span.with("linnet.connection.id", id);
            emit(ending(span, &connection.session, code, end));
        }
        None => {}
    }
}

/// A handshake was refused. Gives its place in a trace, where that is recorded.
pub fn handshake_refused(
    telemetry: Telemetry,
    peer: IpAddr,
    transport: Transport,
    reason: &'static str,
    status: u16,
) -> Option<Context> {
    if !queue::is_on() || !context::chance(rate(telemetry)) {
        return None;
    }
    let context = Context::new_trace(true);
    let span = Span::ended("connection", Kind::Server, context, span::now())
        .with("network.protocol.name", transport.as_str())
        .with("client.address", peer.to_string())
        .with("http.response.status_code", status)
        .failed(reason);
    emit(span);
    Some(context)
}
