//! The plain protocol in Engine.IO: payloads in packets, over long-polling and over WebSockets.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::polling::SEPARATOR;
use linnet_tests::prelude::*;
use linnet_tests::raw::{frame, op, text};
use linnet_tests::{Polling, http};

const PATH: &str = "/engine.io/?EIO=4&transport=polling";

fn manifest() -> Manifest {
    Manifest::unhurried().spec(json!({"transports": {"socketIO": {"mode": "Enabled"}}}))
}

#[test]
fn payloads_meet_those_of_plain_and_json_clients() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut poller = Polling::open_at(gateway.public, &format!("{PATH}&room=a")).await;
        let mut plain = gateway.plain("a").await;
        let mut json = gateway.client().await;
        json.subscribe("a").await;
        plain.say("hä").await;
        assert_eq!(poller.packet().await, "4hä");
        assert_eq!(json.next_of("message").await["data"], "hä");
        poller
            .say(&format!("4one{SEPARATOR}bAAH/{SEPARATOR}4"))
            .await;
        for (data, encoding) in [
            (json!("one"), Value::Null),
            (json!("AAH/"), json!("base64")),
            (json!(""), Value::Null),
        ] {
            let message = json.next_of("message").await;
            assert_eq!((&message["data"], &message["encoding"]), (&data, &encoding));
        }
        for packet in ["4one", "bAAH/", "4"] {
            assert_eq!(poller.packet().await, packet);
        }
        // What stands between packets would make it two.
        json.publish("a", json!("x\u{1e}y")).await;
        assert_eq!(poller.packet().await, "beB55");
    });
}

#[test]
fn a_room_that_is_not_named_is_the_lobby_and_one_may_leave_out_the_echo() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let path = format!("{}&echo=false", PATH.replace("polling", "websocket"));
        let mut raw = Raw::tcp(gateway.public).await;
        assert_eq!(raw.upgrade(&path, "").await.status, 101);
        let open = raw.read_text().await;
        assert!(open.starts_with(r#"0{"#), "{open}");
        let mut poller = Polling::open_at(gateway.public, PATH).await;
        let mut json = gateway.client().await;
        json.subscribe("lobby").await;
        raw.send(&text("4mine")).await;
        assert_eq!(json.next_of("message").await["data"], "mine");
        assert_eq!(poller.packet().await, "4mine");
        poller.say("4yours").await;
        assert_eq!(raw.read_text().await, "4yours", "and not its own");
        raw.send(&frame(0x80 | op::BINARY, &[1])).await;
        assert_eq!(poller.packet().await, "4yours");
        assert_eq!(poller.packet().await, "bAQ==");
    });
}

#[test]
fn a_session_changes_and_is_pinged_and_closed_as_every_other() {
    scenario(90, async {
        let heartbeat = json!({"heartbeat": {"intervalSeconds": 5, "timeoutSeconds": 2}});
        let gateway = Gateway::start(&manifest().spec(heartbeat)).await;
        let poller = Polling::open_at(gateway.public, PATH).await;
        let mut raw = poller.probe().await;
        raw.send(&text("5")).await;
        raw.send(&text("4changed")).await;
        assert_eq!(raw.read_text().await, "4changed");
        assert_eq!(raw.read_text().await, "2");
        raw.send(&text("3")).await;
        assert_eq!(raw.read_text().await, "2");
        let (code, reason) = raw.closed().await;
        assert_eq!((code, reason.as_str()), (4104, "ping_timeout"));
        for packet in ["", "0", "2", "6", "7"] {
            let poller = Polling::open_at(gateway.public, PATH).await;
            let mut raw = poller.probe().await;
            raw.send(&[text("5"), text(packet)].concat()).await;
            assert_eq!(raw.closed().await.0, 1003, "{packet}");
        }
    });
}

#[test]
fn what_plain_clients_are_refused_these_are_too() {
    scenario(60, async {
        let rule = json!({"match": "closed", "subscribe": "Nobody"});
        let gateway = Gateway::start(&manifest().room(rule)).await;
        let poller = Polling::open_at(gateway.public, &format!("{PATH}&room=closed")).await;
        let answer = poller.poll().await;
        assert_eq!(answer.body, "1", "{answer:?}");
        let refused = http::get(gateway.public, &format!("{PATH}&room=")).await;
        assert_eq!(refused.status, 400);
        let off = Gateway::start(&Manifest::open()).await;
        assert_eq!(http::get(off.public, PATH).await.status, 404);
    });
}
