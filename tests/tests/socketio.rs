//! Socket.IO clients in the rooms of everyone: what they say, hear and are told, packet by packet.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use linnet_tests::SocketIo;
use linnet_tests::issuer::{SECRET, Secrets, Signer};
use linnet_tests::prelude::*;
use linnet_tests::socketio::PATH;

fn manifest() -> Manifest {
    Manifest::unhurried().spec(json!({"transports": {"socketIO": {"mode": "Enabled"}}}))
}

#[test]
fn a_session_is_opened_entered_and_greeted() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = SocketIo::open(gateway.public).await;
        assert_eq!(client.opened["upgrades"], json!([]));
        assert_eq!(client.opened["pingInterval"], 25_000);
        assert_eq!(client.opened["maxPayload"], 65_536);
        client.say(r#"40{"info":{"name":"Ann"}}"#).await;
        let packet = client.packet().await;
        let sid: Value = serde_json::from_str(packet.strip_prefix("40").unwrap()).unwrap();
        let (name, arguments) = client.event().await;
        assert_eq!(name, "connected");
        assert_eq!(arguments[0]["connection_id"], sid["sid"]);
        assert_eq!(arguments[0]["limits"]["message_size"], 65_536);
    });
}

#[test]
fn events_meet_messages_of_json_clients_in_one_room() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest().history(10)).await;
        let mut ann = SocketIo::connect(gateway.public).await;
        let mut bob = gateway.client().await;
        let joined = ann.ask(json!(["join", "lobby"])).await;
        assert!(joined["epoch"].is_string(), "{joined}");
        bob.subscribe("lobby").await;

        let message = json!({"room": "lobby", "event": "greet", "data": {"text": "hi"}});
        let said = ann.ask(json!(["message", message])).await;
        let frame = bob.next_of("message").await;
        assert_eq!(frame["event"], "greet");
        assert_eq!(frame["data"], json!({"text": "hi"}));
        assert_eq!(frame["offset"], said["offset"]);
        let (name, arguments) = ann.event().await;
        assert_eq!((name.as_str(), &arguments[0]), ("greet", &frame["data"]));
        assert_eq!(arguments[1]["room"], "lobby");
        assert_eq!(arguments[1]["from"], frame["from"]);
        assert_eq!(arguments[1]["timestamp"], frame["timestamp"]);

        bob.ack(json!({"type": "publish", "room": "lobby", "event": "disconnect", "data": 1}))
            .await;
        let (name, arguments) = ann.event().await;
        assert_eq!(
            (name.as_str(), &arguments[1]["event"]),
            ("message", &json!("disconnect"))
        );
        bob.publish("lobby", json!("plain")).await;
        let (name, arguments) = ann.event().await;
        assert_eq!((name.as_str(), &arguments[0]), ("message", &json!("plain")));

        assert_eq!(ann.ask(json!(["leave", "lobby"])).await, json!({}));
        bob.publish("lobby", json!("unheard")).await;
        let page = ann.ask(json!(["history", "lobby", {"limit": 1}])).await;
        assert_eq!(
            page["messages"][0]["data"], "unheard",
            "and nothing before it"
        );
    });
}

#[test]
fn bytes_stay_bytes_and_are_base64_for_json_clients() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = SocketIo::connect(gateway.public).await;
        let mut bob = gateway.client().await;
        ann.ask(json!(["join", "lobby"])).await;
        bob.subscribe("lobby").await;
        let placeholder = json!({"_placeholder": true, "num": 0});
        let message = json!({"room": "lobby", "event": "file", "data": placeholder});
        ann.say(&format!("451-{}", json!(["message", message])))
            .await;
        ann.say_bytes(&[0, 1, 255]).await;
        let frame = bob.next_of("message").await;
        assert_eq!(frame["data"], BASE64.encode([0, 1, 255]));
        assert_eq!(frame["encoding"], "base64");
        let (name, arguments) = ann.event().await;
        assert_eq!((name.as_str(), &arguments[0]), ("file", &placeholder));
        assert_eq!(ann.bytes().await, [0, 1, 255]);
        let bytes = json!({"type": "publish", "room": "lobby", "data": BASE64.encode([9]), "encoding": "base64"});
        bob.ack(bytes).await;
        ann.event().await;
        assert_eq!(ann.bytes().await, [9]);
    });
}

#[test]
fn a_namespace_is_a_prefix_of_rooms() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = SocketIo::connect(gateway.public).await;
        ann.enter("/chat", "").await;
        let mut one = SocketIo::connect(gateway.public).await;
        let mut bob = gateway.client().await;
        bob.subscribe("chat/lobby").await;
        ann.ask_in("/chat", json!(["join", "lobby"])).await;
        one.ask(json!(["join", "chat/lobby"])).await;
        ann.ask(json!(["join", "lobby"])).await;

        ann.ask_in("/chat", json!(["message", {"room": "lobby", "data": 1}]))
            .await;
        assert_eq!(bob.next_of("message").await["room"], "chat/lobby");
        let (_, arguments) = ann.event_in("/chat").await;
        assert_eq!(arguments[1]["room"], "lobby");
        let (_, arguments) = one.event().await;
        assert_eq!(arguments[1]["room"], "chat/lobby");
        one.ask(json!(["message", {"room": "lobby", "data": 2}]))
            .await;
        let (_, arguments) = ann.event().await;
        assert_eq!(
            (&arguments[0], &arguments[1]["room"]),
            (&json!(2), &json!("lobby"))
        );

        // Who leaves the namespace is in its rooms no more, and in the others still.
        ann.say("41/chat,").await;
        ann.ask(json!(["message", {"room": "chat/lobby", "data": 3}]))
            .await;
        one.event().await;
        ann.ask(json!(["message", {"room": "lobby", "data": 4}]))
            .await;
        let (_, arguments) = ann.event().await;
        assert_eq!(arguments[0], 4);
    });
}

#[test]
fn a_namespace_without_rooms_for_anybody_is_refused() {
    scenario(60, async {
        let manifest = manifest()
            .room(json!({"match": "chat/*"}))
            .room(json!({"match": "*", "subscribe": "Nobody", "publish": "Nobody"}));
        let gateway = Gateway::start(&manifest).await;
        let mut client = SocketIo::open(gateway.public).await;
        client.say("40/other,").await;
        let packet = client.packet().await;
        let error: Value = serde_json::from_str(packet.strip_prefix("44/other,").unwrap()).unwrap();
        assert_eq!(error["data"]["code"], "forbidden", "{error}");
        client.enter("/chat", "").await;
        client.ask_in("/chat", json!(["join", "lobby"])).await;
    });
}

#[test]
fn who_may_not_connect_is_told_so_and_who_shows_a_token_is_its_user() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let authentication = json!({"anonymous": "Deny", "jwt": {"keySecretName": SECRET}});
        let manifest = manifest().spec(json!({ "authentication": authentication }));
        let gateway = Gateway::start_with(&manifest, &["--secrets", secrets.path()]).await;
        let mut client = SocketIo::open(gateway.public).await;
        for (auth, code) in [
            ("", "unauthenticated"),
            (r#"{"token":"x.y.z"}"#, "invalid_token"),
        ] {
            client.say(&format!("40{auth}")).await;
            let packet = client.packet().await;
            let error: Value = serde_json::from_str(packet.strip_prefix("44").unwrap()).unwrap();
            assert_eq!(error["data"]["code"], code, "{error}");
            assert!(error["message"].is_string(), "{error}");
        }
        let token = signer.token("ann", &json!({}));
        client
            .say(&format!("40{}", json!({ "token": token })))
            .await;
        assert!(client.packet().await.starts_with("40{"));
        let (_, arguments) = client.event().await;
        assert_eq!(arguments[0]["user_id"], "ann");
        let other = signer.token("bob", &json!({}));
        client
            .say(&format!("40/b,{}", json!({ "token": other })))
            .await;
        let packet = client.packet().await;
        assert!(
            packet.starts_with("44/b,"),
            "a connection is one user's: {packet}"
        );

        let mut raw = Raw::tcp(gateway.public).await;
        let headers = "Authorization: Bearer x.y.z\r\n";
        assert_eq!(raw.upgrade(PATH, headers).await.status, 401);
        let mut raw = Raw::tcp(gateway.public).await;
        let headers = format!("Authorization: Bearer {token}\r\n");
        assert_eq!(raw.upgrade(PATH, &headers).await.status, 101);
    });
}

#[test]
fn other_events_have_no_handler_and_refusals_have_codes() {
    scenario(60, async {
        let gateway =
            Gateway::start(&manifest().room(json!({"match": "x", "publish": "Nobody"}))).await;
        let mut client = SocketIo::connect(gateway.public).await;
        let answer = client.ask(json!(["order", {"n": 1}])).await;
        assert_eq!(answer["error"]["code"], "no_handler");
        let answer = client
            .ask(json!(["message", {"room": "x", "data": 1}]))
            .await;
        assert_eq!(answer["error"]["code"], "forbidden");
        client.say(r#"42["message",{"room":"x","data":1}]"#).await;
        let (name, arguments) = client.event().await;
        assert_eq!(
            (name.as_str(), &arguments[0]["code"]),
            ("error", &json!("forbidden"))
        );
    });
}

#[test]
fn messages_to_a_user_and_presence_are_events() {
    scenario(60, async {
        let rule = json!({"match": "*", "presence": {"mode": "Full"}});
        let gateway = Gateway::start(&manifest().room(rule)).await;
        let mut ann = SocketIo::connect(gateway.public).await;
        let mut bob = gateway.client().await;
        ann.ask(json!(["join", "lobby", {"presence": true}])).await;
        bob.subscribe("lobby").await;
        let (name, arguments) = loop {
            let (name, arguments) = ann.event().await;
            let joins = &arguments[0]["join"];
            if joins
                .as_array()
                .unwrap()
                .iter()
                .any(|member| member["connection_id"] == bob.id())
            {
                break (name, arguments);
            }
        };
        assert_eq!(
            (name.as_str(), &arguments[0]["room"]),
            ("presence", &json!("lobby"))
        );
        let page = ann.ask(json!(["presence", "lobby"])).await;
        assert_eq!(page["members"].as_array().unwrap().len(), 2, "{page}");
        let sent = ann
            .ask(json!(["send", {"to": bob.id(), "data": "psst"}]))
            .await;
        assert_eq!(sent["connections"], 1);
        let direct = bob.skip_to("direct").await;
        let answer = json!({"type": "send", "to": direct["from"], "event": "re", "data": "what"});
        bob.ack(answer).await;
        let (name, arguments) = ann.event().await;
        assert_eq!((name.as_str(), &arguments[0]), ("direct", &json!("what")));
        assert_eq!(arguments[1]["event"], "re");
    });
}

#[test]
fn the_server_pings_at_the_interval_that_it_has_told_whatever_the_client_says() {
    scenario(60, async {
        let heartbeat = json!({"heartbeat": {"intervalSeconds": 5, "timeoutSeconds": 5}});
        let gateway = Gateway::start(&manifest().spec(heartbeat)).await;
        let mut client = SocketIo::connect(gateway.public).await;
        assert_eq!(client.opened["pingInterval"], 5000);
        let begun = Instant::now();
        // A client that talks all the time is pinged all the same: it would give up without.
        let ping = loop {
            client.say("3").await;
            let read = tokio::time::timeout(Duration::from_millis(500), client.raw.read()).await;
            if let Ok(heard) = read {
                break heard;
            }
            assert!(begun.elapsed() < Duration::from_secs(30));
        };
        let text = format!("{ping:?}");
        assert!(
            text.contains("payload: [50]"),
            "the packet 2, as text: {text}"
        );
        assert!(begun.elapsed() > Duration::from_secs(4));
        // And one that does not answer is gone.
        let (code, reason) = client.raw.closed().await;
        assert_eq!((code, reason.as_str()), (4104, "ping_timeout"));
    });
}

#[test]
fn a_draining_gateway_closes_without_a_disconnect_so_that_clients_come_back() {
    scenario(60, async {
        let gateway = Gateway::start_with(&manifest(), &["--drain", "1"]).await;
        let mut client = SocketIo::connect(gateway.public).await;
        gateway.signal("TERM");
        let (code, _) = client.raw.closed().await;
        assert_eq!(code, 1012);
    });
}

#[test]
fn where_it_is_not_enabled_there_is_nothing() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut raw = Raw::tcp(gateway.public).await;
        assert_eq!(raw.upgrade(PATH, "").await.status, 404);
        gateway.reconfigure(&manifest()).await;
        SocketIo::connect(gateway.public).await;
    });
}
