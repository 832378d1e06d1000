//! The channel's handler, for clients of Socket.IO and streams of Server-Sent Events.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::SocketIo;
use linnet_tests::backend::{BackEnd, Received, Says};
use linnet_tests::http;
use linnet_tests::prelude::*;
use tokio::sync::oneshot;

/// A channel that serves both, and whose handler is asked about these events.
fn manifest(back_end: &BackEnd, events: &[&str]) -> Manifest {
    Manifest::unhurried().history(100).spec(json!({
        "transports": {"socketIO": {"mode": "Enabled"}, "serverSentEvents": {"mode": "Enabled"}},
        "handler": {"url": back_end.url(), "events": events},
    }))
}

/// Answers with what it was asked.
fn echo(received: &Received) -> Says {
    let data = received.data();
    let mut answer = json!({"data": data["data"]});
    if let Some(encoding) = data.get("encoding") {
        answer["encoding"] = encoding.clone();
    }
    Says::Json(answer)
}

#[test]
fn an_event_that_the_gateway_does_not_know_is_a_request_and_its_answer_the_acknowledgement() {
    scenario(60, async {
        let back_end = BackEnd::start(echo).await;
        let gateway = Gateway::start(&manifest(&back_end, &["request"])).await;
        let mut ann = SocketIo::connect(gateway.public).await;
        for (event, data) in [
            (json!(["price", {"sku": "A-17"}]), json!({"sku": "A-17"})),
            (json!(["price"]), Value::Null),
            (json!(["price", 1, "2"]), json!([1, "2"])),
        ] {
            assert_eq!(ann.ask(event).await, data);
        }
        // Bytes stay bytes there and back.
        ann.say(r#"451-9["photo",{"_placeholder":true,"num":0}]"#)
            .await;
        ann.say_bytes(&[0, 255]).await;
        assert_eq!(
            ann.packet().await,
            r#"461-9[{"_placeholder":true,"num":0}]"#
        );
        assert_eq!(ann.bytes().await, [0, 255]);
        let photo = back_end.seen().pop().unwrap();
        assert_eq!(photo.data()["event"], "photo");
        assert_eq!(photo.data()["data"], "AP8=");
        assert_eq!(photo.data()["encoding"], "base64");

        back_end.turn(|_: &Received| Says::no("sold_out", "none is left"));
        let refused = ann.ask(json!(["price", 1])).await;
        assert_eq!(refused["error"]["code"], "rejected");
        assert_eq!(refused["error"]["reason"], "sold_out");
        assert_eq!(refused["error"]["message"], "none is left");
        ann.say(r#"42["price",1]"#).await;
        let (name, arguments) = ann.event().await;
        assert_eq!(
            (name.as_str(), &arguments[0]["reason"]),
            ("error", &json!("sold_out"))
        );
    });
}

#[test]
fn the_handler_emits_events_and_puts_clients_in_rooms_of_their_namespaces() {
    scenario(60, async {
        let answer =
            json!({"join": ["chat/lobby", "news"], "emit": [{"event": "hint", "data": 1}]});
        let back_end = BackEnd::start(move |_: &Received| Says::Json(answer.clone())).await;
        let gateway = Gateway::start(&manifest(&back_end, &["request"])).await;
        let mut ann = SocketIo::connect(gateway.public).await;
        ann.enter("/chat", "").await;
        ann.say(r#"42/chat,["begin"]"#).await;
        let (name, arguments) = ann.event().await;
        assert_eq!((name.as_str(), &arguments[0]), ("hint", &json!(1)));
        let (name, arguments) = ann.event_in("/chat").await;
        assert_eq!(
            (name.as_str(), &arguments[0]["room"]),
            ("subscribed", &json!("lobby"))
        );
        let (name, arguments) = ann.event().await;
        assert_eq!(
            (name.as_str(), &arguments[0]["room"]),
            ("subscribed", &json!("news"))
        );
        let mut bob = gateway.client().await;
        bob.publish("chat/lobby", json!("hi")).await;
        let (name, arguments) = ann.event_in("/chat").await;
        assert_eq!((name.as_str(), &arguments[0]), ("message", &json!("hi")));
        assert_eq!(arguments[1]["room"], "lobby");
        back_end.turn(|_: &Received| Says::Json(json!({"leave": ["chat/lobby"]})));
        ann.say(r#"42["end"]"#).await;
        let (name, arguments) = ann.event_in("/chat").await;
        assert_eq!(
            (name.as_str(), &arguments[0]["code"]),
            ("unsubscribed", &json!("rejected"))
        );
    });
}

#[test]
fn a_socket_io_client_is_let_in_by_the_handler_or_not() {
    scenario(60, async {
        let (yes, decides) = oneshot::channel();
        let decides = std::sync::Mutex::new(Some(decides));
        let back_end = BackEnd::start(move |received: &Received| {
            let first = decides.lock().unwrap().take();
            match (received.kind(), first) {
                ("connect", Some(first)) => Says::Later(first),
                ("connect", None) => Says::no("closed", "not today"),
                _ => echo(received),
            }
        })
        .await;
        let events = ["connect", "request", "disconnect"];
        let gateway = Gateway::start(&manifest(&back_end, &events)).await;
        let mut ann = SocketIo::open(gateway.public).await;
        ann.say(r#"40{"info":{"name":"Ann"}}"#).await;
        let asked = back_end.hears("connect", 1).await.remove(0);
        assert_eq!(asked.data()["protocol"], "socket.io.v5");
        assert_eq!(asked.data()["info"], json!({"name": "Ann"}));
        // What she asks meanwhile is not lost.
        ann.say(r#"423["join","lobby"]"#).await;
        ann.say(r#"424["price",7]"#).await;
        yes.send(json!({"data": {"plan": "free"}})).unwrap();
        assert!(ann.packet().await.starts_with("40{"));
        let (name, arguments) = ann.event().await;
        assert_eq!(name, "connected");
        assert_eq!(arguments[0]["data"], json!({"plan": "free"}));
        assert!(ann.packet().await.starts_with("433["));
        assert_eq!(ann.packet().await, "434[7]");

        let mut bob = SocketIo::open(gateway.public).await;
        bob.say("40").await;
        let packet = bob.packet().await;
        let refused: Value = serde_json::from_str(packet.strip_prefix("44").unwrap()).unwrap();
        assert_eq!(refused["message"], "not today");
        assert_eq!(refused["data"]["code"], "rejected");
        assert_eq!(refused["data"]["reason"], "closed");
        assert_eq!(bob.raw.closed().await, (4013, "not today".to_owned()));

        ann.say("1").await;
        let left = back_end.hears("disconnect", 1).await.remove(0);
        assert_eq!(left.data()["connection_id"], asked.data()["connection_id"]);
    });
}

#[test]
fn a_stream_of_events_and_a_message_by_post_are_let_in_by_the_handler_or_not() {
    scenario(60, async {
        let back_end = BackEnd::start(|_: &Received| {
            let emit = json!([{"event": "hint", "data": 1}]);
            Says::Json(json!({"data": {"plan": "free"}, "join": ["news"], "emit": emit}))
        })
        .await;
        let gateway = Gateway::start(&manifest(&back_end, &["connect", "disconnect"])).await;
        let post = async |data: &str| {
            let json = "Content-Type: application/json\r\n";
            http::post(gateway.public, "/sse?room=lobby", json, data).await
        };
        let mut events = Events::open(gateway.public, "room=lobby", "")
            .await
            .unwrap();
        assert_eq!(
            events.next_of("connected").await["data"],
            json!({"plan": "free"})
        );
        assert_eq!(events.next_of("direct").await["event"], "hint");
        assert_eq!(post("1").await.status, 200);
        assert_eq!(events.next_of("message").await["data"], 1);
        let asked = back_end.hears("connect", 2).await;
        back_end.hears("disconnect", 1).await;
        drop(events);
        let left = back_end.hears("disconnect", 2).await;
        assert_eq!(
            left[1].data()["connection_id"],
            asked[0].data()["connection_id"]
        );

        back_end.turn(|_: &Received| Says::no("closed", "not today"));
        let refused = Events::open(gateway.public, "room=lobby", "")
            .await
            .unwrap_err();
        for answer in [refused, post("2").await] {
            assert_eq!(answer.status, 403);
            assert_eq!(answer.json()["code"], "rejected");
            assert_eq!(answer.json()["detail"], "not today");
        }
        back_end.turn(|_: &Received| Says::Status(500));
        assert_eq!(post("3").await.status, 503);
        back_end.turn(|_: &Received| Says::yes());
        let mut ann = gateway.client().await;
        let history = ann.ack(json!({"type": "history", "room": "lobby"})).await;
        assert_eq!(
            history["messages"].as_array().unwrap().len(),
            1,
            "{history}"
        );
    });
}
