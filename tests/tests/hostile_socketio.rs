//! What no Socket.IO client sends: it ends the connection that sent it, and costs nobody else anything.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::SocketIo;
use linnet_tests::http;
use linnet_tests::prelude::*;
use linnet_tests::raw::op;
use linnet_tests::raw::{frame, text};

fn manifest() -> Manifest {
    Manifest::unhurried().spec(json!({"transports": {"socketIO": {"mode": "Enabled"}}}))
}

/// A room with an honest client, which must still be served afterwards.
async fn honest(gateway: &Gateway) -> SocketIo {
    let mut client = SocketIo::connect(gateway.public).await;
    client.ask(json!(["join", "lobby"])).await;
    client
}

async fn is_served(client: &mut SocketIo) {
    client
        .ask(json!(["message", {"room": "lobby", "data": "still"}]))
        .await;
    let (_, arguments) = client.event().await;
    assert_eq!(arguments[0], "still");
}

#[test]
fn what_the_protocol_forbids_ends_the_connection() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let deep = format!("42[\"x\",{}", "[".repeat(20_000));
        for packet in [
            "",
            "7",
            "2",
            "2probe",
            "5",
            "0{}",
            "4",
            "49",
            "42",
            "42[]",
            "42[1]",
            "42{}",
            r#"42["connect"]"#,
            r#"42/other,["join","a"]"#,
            "40",
            "44{}",
            "45[]",
            r#"450-["message",1]"#,
            r#"4511-["message",1]"#,
            r#"4599999999999999999999-["message",1]"#,
            r#"4299999999999999999999["message",1]"#,
            deep.as_str(),
        ] {
            let mut hostile = SocketIo::connect(gateway.public).await;
            hostile.say(packet).await;
            let (code, reason) = hostile.raw.closed().await;
            assert_eq!(code, 1003, "{packet:.40}: {reason}");
        }
        is_served(&mut client).await;
    });
}

#[test]
fn who_says_anything_before_a_connect_is_closed_and_so_is_who_says_nothing() {
    scenario(60, async {
        let heartbeat = json!({"heartbeat": {"intervalSeconds": 5, "timeoutSeconds": 2}});
        let gateway = Gateway::start(&manifest().spec(heartbeat)).await;
        let mut early = SocketIo::open(gateway.public).await;
        early.say(r#"42["join","lobby"]"#).await;
        assert_eq!(early.raw.closed().await.0, 1003);
        let mut silent = SocketIo::open(gateway.public).await;
        let (code, reason) = silent.raw.closed().await;
        assert_eq!((code, reason.as_str()), (4005, "connect_timeout"));
    });
}

#[test]
fn bytes_that_nobody_announced_or_too_many_of_them_end_the_connection() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest().limits(json!({"messageSize": "1Ki"}))).await;
        let mut client = honest(&gateway).await;
        let mut hostile = SocketIo::connect(gateway.public).await;
        hostile.say_bytes(b"x").await;
        assert_eq!(hostile.raw.closed().await.0, 1003);
        let mut hostile = SocketIo::connect(gateway.public).await;
        hostile
            .say(r#"4510-["message",{"room":"a","data":{}}]"#)
            .await;
        for _ in 0..10 {
            hostile.say_bytes(&[0; 10_000]).await;
        }
        let (code, reason) = hostile.raw.closed().await;
        assert_eq!((code, reason.as_str()), (1009, "message_too_large"));
        let mut hostile = SocketIo::connect(gateway.public).await;
        hostile.say(r#"452-["message",1]"#).await;
        hostile.say_bytes(b"x").await;
        hostile.say("41").await;
        assert_eq!(hostile.raw.closed().await.0, 1003);
        is_served(&mut client).await;
    });
}

#[test]
fn packets_in_pieces_are_read_like_whole_ones() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let packet = br#"42["message",{"room":"lobby","data":"split"}]"#;
        let (first, rest) = packet.split_at(9);
        let mut frames = frame(op::TEXT, first);
        frames.extend(frame(0x80 | op::CONTINUATION, rest));
        for byte in frames {
            client.raw.send(&[byte]).await;
        }
        let (_, arguments) = client.event().await;
        assert_eq!(arguments[0], "split");
        // And several at once.
        let mut both = text(r#"42["message",{"room":"lobby","data":1}]"#);
        both.extend(text(r#"42["message",{"room":"lobby","data":2}]"#));
        client.raw.send(&both).await;
        for n in 1..=2 {
            assert_eq!(client.event().await.1[0], n);
        }
    });
}

#[test]
fn a_publisher_cannot_end_other_clients_by_what_it_says_of_itself() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let mut hostile = gateway.client().await;
        let info = json!({"_placeholder": true, "num": 9});
        hostile.ack(json!({"type": "connect", "info": info})).await;
        let bytes =
            json!({"type": "publish", "room": "lobby", "data": "AQ==", "encoding": "base64"});
        hostile.ack(bytes).await;
        let (_, arguments) = client.event().await;
        assert_eq!(arguments[1].get("info"), None, "{arguments:?}");
        assert_eq!(client.bytes().await, [1]);
        for event in ["disconnect", "connect_error", "error", "connected"] {
            hostile
                .ack(json!({"type": "publish", "room": "lobby", "event": event, "data": 1}))
                .await;
            assert_eq!(client.event().await.0, "message");
        }
    });
}

#[test]
fn a_flood_is_refused_and_then_closed_like_any_other() {
    scenario(60, async {
        let slow = json!({"messagesPerSecond": 1, "messageBurst": 5});
        let gateway = Gateway::start(&manifest().limits(slow)).await;
        let mut hostile = SocketIo::connect(gateway.public).await;
        for _ in 0..100 {
            hostile.say(r#"42["order"]"#).await;
        }
        let (code, reason) = hostile.raw.closed().await;
        assert_eq!((code, reason.as_str()), (4101, "rate_limited"));
    });
}

#[test]
fn requests_that_no_session_can_come_of_are_answered_in_the_words_of_the_protocol() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        for (query, code) in [
            ("EIO=4&transport=webtransport", 0),
            ("EIO=4&transport=websocket&sid=x", 3),
            ("EIO=3&transport=websocket", 5),
            ("", 5),
            ("EIO=4&transport=websocket", 3),
        ] {
            let answer = gateway.get_public(&format!("/socket.io/?{query}")).await;
            assert_eq!(answer.status, 400, "{query}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.json()["code"], code, "{query}: {answer:?}");
        }
        let path = "/socket.io/?EIO=4&transport=polling&sid=x";
        let answer = http::post(gateway.public, path, "", "4x").await;
        assert_eq!(
            (answer.status, answer.json()["code"].clone()),
            (400, json!(1))
        );
        for path in [
            "/socket.io/?EIO=4&transport=polling",
            "/socket.io/?EIO=4&transport=websocket&sid=x",
        ] {
            let mut raw = Raw::tcp(gateway.public).await;
            assert_eq!(raw.upgrade(path, "").await.status, 400);
        }
    });
}
