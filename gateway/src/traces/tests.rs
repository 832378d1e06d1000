use std::sync::Arc;

use linnet_telemetry::Context;

use super::*;
use crate::config::Telemetry;
use crate::message::{Message, Payload};
use crate::names::{ConnectionId, RoomName};
use crate::protocol::ErrorCode;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn telemetry(trust_clients: bool) -> Telemetry {
    Telemetry {
        sampling: 0,
        trust_clients,
    }
}

fn message(caller: Option<&str>) -> Message {
    let caller = caller.map(|text| Context::parse(text).unwrap());
    Message {
        room: RoomName::parse("lobby").unwrap(),
        offset: None,
        timestamp: 0,
        from: None,
        event: None,
        data: Payload::Json("1".into()),
        info: None,
        skip: None,
        trace: caller.map(|caller| Box::new(Trace::of_caller(caller))),
    }
}

fn published(message: &mut Message, trust: bool, trace: Option<&mut ConnectionTrace>) {
    let own = || trace.map(ConnectionTrace::child);
    PublishSpan::begin(message, ConnectionId::random(), telemetry(trust), own);
}

#[test]
fn an_untraced_connection_s_messages_have_no_trace_whatever_a_client_says() {
    let mut message = message(Some(CALLER));
    published(&mut message, false, None);
    assert!(message.trace.is_none());
}

#[test]
fn a_traced_connection_s_messages_are_in_its_trace_under_ids_of_their_own() {
    let root = Context::new_trace(true);
    let mut trace = ConnectionTrace::new(root, None, false);
    let mut message = message(Some(CALLER));
    published(&mut message, false, Some(&mut trace));
    let context = message.trace.as_ref().unwrap().context;
    assert_eq!(context.trace, root.trace);
    assert_ne!(context.span, root.span);
}

#[test]
fn where_no_exporter_runs_a_trusted_client_s_context_is_handed_on_as_it_is() {
    let mut message = message(Some(CALLER));
    published(&mut message, true, None);
    let trace = message.trace.unwrap();
    assert_eq!(trace.context.to_string(), CALLER);
    assert!(trace.open.is_none());
}

#[test]
fn a_trace_rolls_over_after_a_thousand_spans() {
    let root = Context::new_trace(true);
    let mut trace = ConnectionTrace::new(root, None, false);
    let ids = (0..2500).map(|_| trace.child().1.trace);
    let mut ids: Vec<_> = ids.collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[0], root.trace);
}

#[test]
fn a_fan_out_is_traced_where_one_of_its_messages_is() {
    let room = RoomName::parse("lobby").unwrap();
    let plain = Arc::new(message(None));
    let traced = Arc::new(message(Some(CALLER)));
    let unsampled = CALLER.replace("-01", "-00");
    let unsampled = Arc::new(message(Some(&unsampled)));
    assert!(FanOutSpan::begin(&room, &[plain.clone(), unsampled]).is_none());
    let span = FanOutSpan::begin(&room, &[plain, traced]).unwrap();
    assert_eq!(span.trace().trace_id(), "0af7651916cd43dd8448eb211c80319c");
}

#[test]
fn drain_and_a_newer_connection_are_no_errors() {
    assert!(End::Gateway(Some(ErrorCode::SlowConsumer)).is_error());
    assert!(End::Gateway(None).is_error(), "the protocol was broken");
    assert!(!End::Gateway(Some(ErrorCode::Draining)).is_error());
    assert!(!End::Gateway(Some(ErrorCode::Replaced)).is_error());
    assert!(!End::Client.is_error() && !End::Lost.is_error());
}

fn published_by_service(message: &mut Message, sampled: bool) {
    PublishSpan::begin_for_service(message, || sampled);
}

#[test]
fn a_services_publish_without_a_trace_of_its_own_is_sampled() {
    let mut one = message(None);
    published_by_service(&mut one, false);
    assert!(one.trace.is_none());
    published_by_service(&mut one, true);
    assert!(one.trace.is_some_and(|trace| trace.open.is_some()));
}

#[test]
fn a_services_trace_goes_on_with_the_message_where_none_is_recorded() {
    let mut one = message(Some(CALLER));
    published_by_service(&mut one, true);
    let trace = one.trace.unwrap();
    assert_eq!(trace.context.to_string(), CALLER);
    assert!(trace.open.is_none());
}
