//! Acks, read back and held against `docs/asyncapi.yaml`.

use std::sync::Arc;

use serde_json::json;

use super::asyncapi::conforms;
use super::encode::{ack, full_message, member};
use super::*;
use crate::message::Message;
use crate::protocol::{AckBody, HistoryPage, PresenceMembers, PresencePage, Subscribed};

#[test]
fn the_ack_of_subscribe_has_three_forms() {
    let (epoch, kept) = (Epoch::random(), Arc::new(full_message()));
    let form = |position: Option<u64>, recovered, messages: &[Arc<Message>], more| {
        let position = position.map(|offset| (epoch.clone(), Offset(offset)));
        let subscribed = Subscribed {
            position,
            recovered,
            messages: messages.to_vec(),
            more,
        };
        ack(AckBody::Subscribed(&subscribed), "ServerAckSubscribe")
    };
    let epoch = epoch.as_str();
    assert_eq!(
        form(Some(12), None, &[], false),
        json!({"epoch": epoch, "offset": 12})
    );
    let lost =
        json!({"epoch": epoch, "offset": 0, "recovered": false, "messages": [], "more": false});
    assert_eq!(form(Some(0), Some(false), &[], false), lost);
    assert_eq!(form(None, None, &[], false), json!({}));
    assert_eq!(
        form(None, Some(false), &[], false),
        json!({"recovered": false})
    );
    let page = form(Some(13), Some(true), &[kept.clone(), kept], true);
    assert_eq!(
        (&page["more"], page["messages"].as_array().unwrap().len()),
        (&json!(true), 2)
    );
    for stored in page["messages"].as_array().unwrap() {
        conforms(stored, "StoredMessage");
        assert_eq!(stored["data"], json!({"text": "hi"}));
    }
}

#[test]
fn the_ack_of_publish_tells_position_time_and_repeats() {
    let epoch = Epoch::random();
    let published = |offset: Option<u64>, duplicate, not_deduplicated| {
        let position = offset.map(|offset| (&epoch, Offset(offset)));
        ack(
            AckBody::Published {
                position,
                timestamp: Some(5),
                duplicate,
                not_deduplicated,
            },
            "ServerAckPublish",
        )
    };
    let id = epoch.as_str();
    assert_eq!(
        published(Some(13), false, false),
        json!({"epoch": id, "offset": 13, "timestamp": 5})
    );
    let again = json!({"epoch": id, "offset": 13, "timestamp": 5, "duplicate": true});
    assert_eq!(published(Some(13), true, false), again);
    assert_eq!(published(None, false, false), json!({"timestamp": 5}));
    assert_eq!(
        published(None, false, true),
        json!({"timestamp": 5, "deduplicated": false})
    );
}

#[test]
fn other_acks_have_their_fields() {
    assert_eq!(ack(AckBody::Done, "ServerAckUnsubscribe"), json!({}));
    assert_eq!(
        ack(AckBody::Sent { connections: 0 }, "ServerAckSend"),
        json!({"connections": 0})
    );
    let page = HistoryPage {
        epoch: Epoch::random(),
        messages: vec![Arc::new(full_message())],
        more: true,
    };
    let history = ack(AckBody::History(&page), "ServerAckHistory");
    assert_eq!(
        (&history["epoch"], &history["more"]),
        (&json!(page.epoch.as_str()), &json!(true))
    );
    conforms(&history["messages"][0], "StoredMessage");
}

#[test]
fn the_ack_of_presence_has_members_or_a_number() {
    let list = vec![member(None, None), member(Some("ann"), Some(r#"{"a":1}"#))];
    let ids: Vec<String> = list
        .iter()
        .map(|member| member.connection.to_string())
        .collect();
    let page = PresencePage {
        version: 3,
        members: PresenceMembers::Page {
            members: list,
            more: false,
        },
    };
    let expected = json!({"version": 3, "more": false, "members": [
        {"connection_id": ids[0]}, {"connection_id": ids[1], "user_id": "ann", "info": {"a": 1}}]});
    let frame = ack(AckBody::Presence(&page), "ServerAckPresence");
    assert_eq!(frame, expected);
    frame["members"]
        .as_array()
        .unwrap()
        .iter()
        .for_each(|member| conforms(member, "Member"));
    let page = PresencePage {
        version: 3,
        members: PresenceMembers::Count(1200),
    };
    assert_eq!(
        ack(AckBody::Presence(&page), "ServerAckPresence"),
        json!({"version": 3, "count": 1200})
    );
}
