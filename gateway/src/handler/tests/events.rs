//! What a handler gets.

use linnet_telemetry::Context;
use serde_json::{Value, json};

use super::super::{Call, Kind, Names};
use crate::broker::Member;
use crate::config::Telemetry;
use crate::hub::Address;
use crate::message::Payload;
use crate::names::{ConnectionId, UserId};
use crate::traces::CallSpan;

fn call(kind: Kind, user: Option<&str>, info: Option<&str>) -> Call {
    Call {
        to: Address {
            shard: 0,
            slot: 0,
            generation: 0,
        },
        member: Member {
            connection: ConnectionId::random(),
            user: user.and_then(UserId::from_token),
            info: info.map(Into::into),
        },
        kind,
        span: CallSpan::default(),
    }
}

fn request(data: Payload) -> Kind {
    Kind::Request {
        id: None,
        event: "price".into(),
        data,
    }
}

fn encoded(call: &Call) -> Value {
    let names = Names {
        namespace: "shop".into(),
        channel: "chat".into(),
        gateway: "chat-0".into(),
    };
    let text = call.encode("7f", &names, 1_767_225_600_250).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn an_event_says_what_happened_to_whom_and_where() {
    let protocol = "linnet.v1.json";
    let call = call(
        Kind::Connect { protocol },
        Some("ann"),
        Some(r#"{"name":"Ann"}"#),
    );
    let id = call.member.connection.to_string();
    let data = json!({
        "channel": "chat", "namespace": "shop", "gateway": "chat-0", "connection_id": id,
        "user_id": "ann", "info": {"name": "Ann"}, "protocol": protocol,
    });
    let expected = json!({
        "specversion": "1.0", "id": "7f", "source": "/namespaces/shop/channels/chat",
        "type": "dev.linnet.connect", "subject": id, "time": "2026-01-01T00:00:00.25Z",
        "datacontenttype": "application/json", "data": data,
    });
    assert_eq!(encoded(&call), expected);
}

#[test]
fn what_is_not_known_is_left_out() {
    let call = call(
        Kind::Disconnect {
            code: 1006,
            reason: "lost".into(),
        },
        None,
        None,
    );
    let event = encoded(&call);
    assert_eq!(event["type"], "dev.linnet.disconnect");
    let mut fields: Vec<&String> = event["data"].as_object().unwrap().keys().collect();
    fields.sort();
    let expected = [
        "channel",
        "code",
        "connection_id",
        "gateway",
        "namespace",
        "reason",
    ];
    assert_eq!(fields, expected);
}

#[test]
fn the_data_of_a_request_is_passed_on_as_it_was_sent() {
    let exact = r#"{"n": 12345678901234567890.50}"#;
    let call = call(request(Payload::Json(exact.into())), None, None);
    let names = Names {
        namespace: "n".into(),
        channel: "c".into(),
        gateway: "g".into(),
    };
    let text = String::from_utf8(call.encode("1", &names, 0).unwrap()).unwrap();
    assert!(text.contains(exact), "{text}");
    let event = encoded(&self::call(
        request(Payload::Binary([0, 1].into())),
        None,
        None,
    ));
    let data = &event["data"];
    assert_eq!(data["event"], "price");
    assert_eq!(
        (&data["data"], &data["encoding"]),
        (&json!("AAE="), &json!("base64"))
    );
}

#[test]
fn a_client_that_is_trusted_has_its_trace_passed_on() {
    let caller = Context::new_trace(false);
    let telemetry = |trust_clients| Telemetry {
        sampling: 0,
        trust_clients,
    };
    let id = ConnectionId::random();
    let mut call = call(request(Payload::Json("1".into())), None, None);
    call.span = CallSpan::begin(Some(caller), telemetry(true), id, || None);
    assert_eq!(encoded(&call)["traceparent"], caller.to_string());
    call.span = CallSpan::begin(Some(caller), telemetry(false), id, || None);
    assert_eq!(encoded(&call).get("traceparent"), None);
    let (own, root) = (Context::new_trace(true), Context::new_trace(true));
    call.span = CallSpan::begin(Some(caller), telemetry(false), id, || Some((own, root)));
    assert_eq!(encoded(&call)["traceparent"], own.to_string());
    let unpassed = std::mem::take(&mut call.span).unpassed();
    call.span = unpassed;
    assert_eq!(encoded(&call).get("traceparent"), None);
}
