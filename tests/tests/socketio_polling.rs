//! Socket.IO clients over long-polling, and their change to a WebSocket, packet by packet.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::http;
use linnet_tests::issuer::{SECRET, Secrets, Signer};
use linnet_tests::polling::{PATH, SEPARATOR};
use linnet_tests::prelude::*;
use linnet_tests::raw::text;
use linnet_tests::{Polling, SocketIo};

fn manifest() -> Manifest {
    Manifest::unhurried().spec(json!({"transports": {"socketIO": {"mode": "Enabled"}}}))
}

/// Awaits that so many connections are reached in this way.
async fn reached(gateway: &Gateway, transport: &str, count: f64) {
    until((transport, count), async || {
        let samples = gateway.metrics().await;
        let sample = samples.iter().find(|sample| {
            sample.name == "linnet_transport_connections" && sample.labels["transport"] == transport
        });
        (sample.unwrap().value == count).then_some(())
    })
    .await;
}

#[test]
fn a_session_is_opened_entered_and_greeted() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = Polling::open(gateway.public).await;
        assert_eq!(client.opened["upgrades"], json!(["websocket"]));
        assert_eq!(client.opened["pingInterval"], 25_000);
        assert_eq!(client.opened["maxPayload"], 65_536);
        client.say(r#"40{"info":{"name":"Ann"}}"#).await;
        let packet = client.packet().await;
        let sid: Value = serde_json::from_str(packet.strip_prefix("40").unwrap()).unwrap();
        let (name, arguments) = client.event().await;
        assert_eq!(name, "connected");
        assert_eq!(arguments[0]["connection_id"], sid["sid"]);
        assert_ne!(
            client.opened["sid"], sid["sid"],
            "others are told the second"
        );
        reached(&gateway, "polling", 1.0).await;
        let poll = client.begin_poll();
        client.say(r#"421["leave","nowhere"]"#).await;
        let answer = poll.await.unwrap();
        assert_eq!(answer.body, "431[{}]");
        for (name, value) in [
            ("content-type", "text/plain; charset=UTF-8"),
            ("cache-control", "no-store"),
            ("content-length", "7"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
    });
}

#[test]
fn events_and_bytes_meet_those_of_all_others_in_one_room() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest().history(10)).await;
        let mut ann = Polling::connect(gateway.public).await;
        let mut eve = SocketIo::connect(gateway.public).await;
        let mut bob = gateway.client().await;
        ann.ask(json!(["join", "lobby"])).await;
        eve.ask(json!(["join", "lobby"])).await;
        bob.subscribe("lobby").await;
        let message = json!({"room": "lobby", "event": "greet", "data": {"text": "hä\u{1e}"}});
        let said = ann.ask(json!(["message", message])).await;
        let frame = bob.next_of("message").await;
        assert_eq!(frame["offset"], said["offset"]);
        for (name, arguments) in [ann.event().await, eve.event().await] {
            assert_eq!((name.as_str(), &arguments[0]), ("greet", &frame["data"]));
        }
        // Bytes, in two packets of one body, and in two of one answer.
        let packet = r#"451-["message",{"room":"lobby","data":{"_placeholder":true,"num":0}}]"#;
        ann.say(&format!("{packet}{SEPARATOR}bAAH/")).await;
        let frame = bob.next_of("message").await;
        assert_eq!(
            (&frame["data"], &frame["encoding"]),
            (&json!("AAH/"), &json!("base64"))
        );
        assert_eq!(ann.event().await.0, "message");
        assert_eq!(ann.packet().await, "bAAH/");
        assert_eq!(eve.event().await.0, "message");
        assert_eq!(eve.bytes().await, [0, 1, 255]);
    });
}

#[test]
fn many_messages_come_in_order_and_many_packets_are_heard_in_order() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = Polling::connect(gateway.public).await;
        let mut bob = gateway.client().await;
        ann.ask(json!(["join", "lobby"])).await;
        bob.subscribe("lobby").await;
        for first in (0..500).step_by(50) {
            let packets = (first..first + 50)
                .map(|n| format!(r#"42["message",{{"room":"lobby","data":{n}}}]"#));
            let body: Vec<String> = packets.collect();
            ann.say(&body.join(&SEPARATOR.to_string())).await;
        }
        for n in 0..500 {
            assert_eq!(bob.next_of("message").await["data"], n);
            assert_eq!(ann.event().await.1[0], n);
        }
        // One that is larger than what lies ready.
        let large = "x".repeat(60_000);
        bob.publish("lobby", json!(large)).await;
        assert_eq!(ann.event().await.1[0], json!(large));
    });
}

#[test]
fn who_answers_pings_stays_and_who_does_not_is_gone() {
    scenario(90, async {
        let heartbeat = json!({"heartbeat": {"intervalSeconds": 5, "timeoutSeconds": 2}});
        let gateway = Gateway::start(&manifest().spec(heartbeat)).await;
        let client = Polling::connect(gateway.public).await;
        for _ in 0..2 {
            assert_eq!(client.poll().await.body, "2");
            client.say("3").await;
        }
        assert_eq!(client.poll().await.body, "2");
        assert_eq!(client.poll().await.body, "1", "no pong came");
        assert_eq!(client.poll().await.json()["code"], 1);
        reached(&gateway, "polling", 0.0).await;
        let closed = gateway.metrics().await;
        let closed = closed.iter().find(|sample| {
            sample.name == "linnet_connections_closed_total"
                && sample.labels["code"] == "ping_timeout"
        });
        assert_eq!(closed.unwrap().value, 1.0);
    });
}

#[test]
fn a_client_that_closes_has_its_poll_back_and_leaves_its_rooms() {
    scenario(60, async {
        let presence = json!({"match": "*", "presence": {"mode": "Full"}});
        let gateway = Gateway::start(&manifest().room(presence)).await;
        let mut bob = gateway.client().await;
        bob.ack(json!({"type": "subscribe", "room": "lobby", "presence": true}))
            .await;
        loop {
            let mut ann = Polling::connect(gateway.public).await;
            ann.ask(json!(["join", "lobby"])).await;
            assert!(bob.next_of("presence").await["join"].is_array());
            let poll = ann.begin_poll();
            let mut body = String::from(
                "42[\"message\",{\"room\":\"lobby\",\"data\":\"bye\",\"echo\":false}]",
            );
            body.push(SEPARATOR);
            body.push('1');
            ann.say(&body).await;
            assert_eq!(bob.next_of("message").await["data"], "bye");
            assert!(bob.next_of("presence").await["leave"].is_array());
            let polled = poll.await.unwrap();
            assert_eq!(ann.poll().await.json()["code"], 1);
            assert_eq!(ann.post("3").await.status, 400);
            if polled.body == "6" {
                break;
            }
            assert_eq!(
                polled.json()["code"],
                1,
                "it came only after the end: once more"
            );
        }
    });
}

#[test]
fn a_session_goes_on_over_a_websocket_and_loses_and_doubles_nothing() {
    const MESSAGES: u64 = 400;
    scenario(90, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = Polling::connect(gateway.public).await;
        ann.ask(json!(["join", "lobby"])).await;
        let mut bob = gateway.client().await;
        let pour = tokio::spawn(async move {
            for n in 0..MESSAGES {
                bob.publish("lobby", json!(n)).await;
            }
            bob
        });
        let mut expected = 0;
        while expected < MESSAGES / 4 {
            assert_eq!(ann.event().await.1[0], expected);
            expected += 1;
        }
        reached(&gateway, "polling", 1.0).await;
        // As the reference client does: it polls until the probe is answered and the last poll is back.
        let mut raw = ann.probe().await;
        let answer = ann.poll().await;
        assert_eq!(answer.status, 200);
        ann.heard(&answer.body);
        raw.send(&text("5")).await;
        let mut ann = SocketIo::over(raw, json!({}), ann.packets());
        for n in expected..MESSAGES {
            assert_eq!(ann.event().await.1[0], n);
        }
        reached(&gateway, "websocket", 2.0).await;
        reached(&gateway, "polling", 0.0).await;
        let mut bob = pour.await.unwrap();
        bob.subscribe("lobby").await;
        ann.ask(json!(["message", {"room": "lobby", "data": "still in it"}]))
            .await;
        assert_eq!(ann.event().await.1[0], "still in it");
        assert_eq!(bob.next_of("message").await["data"], "still in it");
    });
}

#[test]
fn a_poll_that_waits_comes_back_when_the_client_is_about_to_change() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let ann = Polling::connect(gateway.public).await;
        let waiting = ann.begin_poll();
        let mut raw = ann.probe().await;
        assert_eq!(waiting.await.unwrap().body, "6");
        assert_eq!(ann.poll().await.body, "6", "and so does one after it");
        raw.send(&text("5")).await;
        // What it says right behind that is heard.
        raw.send(&text(r#"421["leave","nowhere"]"#)).await;
        assert_eq!(raw.read_text().await, "431[{}]");
        for answer in [ann.poll().await, ann.post("3").await] {
            assert_eq!(
                (answer.status, answer.json()["code"].clone()),
                (400, json!(1))
            );
        }
        let mut other = Raw::tcp(gateway.public).await;
        assert_eq!(other.upgrade(&ann.socket_path(), "").await.status, 400);
        let mut ann = SocketIo::over(raw, json!({}), ann.packets());
        ann.ask(json!(["leave", "nowhere"])).await;
    });
}

#[test]
fn a_session_that_does_not_change_after_all_is_polled_on() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = Polling::connect(gateway.public).await;
        let raw = ann.probe().await;
        let mut second = Raw::tcp(gateway.public).await;
        let refused = second.upgrade(&ann.socket_path(), "").await;
        assert_eq!(
            (refused.status, refused.json()["code"].clone()),
            (400, json!(3))
        );
        drop(raw);
        // Until it is seen that the first is gone.
        let mut third = until("a socket to change to", async || {
            let mut raw = Raw::tcp(gateway.public).await;
            let answer = raw.upgrade(&ann.socket_path(), "").await;
            (answer.status == 101).then_some(raw)
        })
        .await;
        third.send(&text("4x")).await;
        assert_eq!(third.closed().await.0, 1003);
        assert_eq!(ann.ask(json!(["leave", "nowhere"])).await, json!({}));
        let mut ann = ann.change().await;
        assert_eq!(ann.ask(json!(["leave", "nowhere"])).await, json!({}));
    });
}

#[test]
fn a_websocket_that_a_session_changes_to_may_compress() {
    scenario(60, async {
        let compression = json!({"transports": {"webSocket": {"compression": "PerMessage"}}});
        let gateway = Gateway::start(&manifest().spec(compression)).await;
        let mut ann = Polling::connect(gateway.public).await;
        ann.ask(json!(["join", "lobby"])).await;
        let mut raw = Raw::tcp(gateway.public).await;
        let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        let answer = raw.upgrade(&ann.socket_path(), offer).await;
        assert_eq!(answer.status, 101);
        assert!(answer.header("sec-websocket-extensions").is_some());
        raw.send(&text("2probe")).await;
        assert_eq!(raw.read_text().await, "3probe");
        let mut bob = gateway.client().await;
        bob.publish("lobby", json!("ab".repeat(1000))).await;
        raw.send(&text("5")).await;
        let linnet_tests::raw::Heard::Frame(frame) = raw.read().await else {
            panic!("no frame");
        };
        assert_eq!(frame.first, 0xc1, "a compressed text");
        assert!(frame.payload.len() < 500);
    });
}

#[test]
fn a_drain_tells_who_polls_and_lets_nobody_new_in() {
    scenario(60, async {
        let mut gateway = Gateway::start_with(&manifest(), &["--drain", "5"]).await;
        let ann = Polling::connect(gateway.public).await;
        let poll = ann.begin_poll();
        gateway.signal("TERM");
        let answer = until("a refusal", async || {
            let answer = http::get(gateway.public, PATH).await;
            (answer.status != 200).then_some(answer)
        });
        assert_eq!(answer.await.status, 503);
        assert_eq!(poll.await.unwrap().body, "1");
        gateway.exit(20).await;
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
        let open = |token: &str| {
            let request = format!(
                "GET {PATH} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n",
                gateway.public
            );
            async move { http::send(gateway.public, request.as_bytes()).await.status }
        };
        let token = signer.token("ann", &json!({}));
        assert_eq!((open("x.y.z").await, open(&token).await), (401, 200));
        let mut client = Polling::open(gateway.public).await;
        client.say(r#"40{"token":"x.y.z"}"#).await;
        let packet = client.packet().await;
        let error: Value = serde_json::from_str(packet.strip_prefix("44").unwrap()).unwrap();
        assert_eq!(error["data"]["code"], "invalid_token", "{error}");
        client
            .say(&format!("40{}", json!({ "token": token })))
            .await;
        assert!(client.packet().await.starts_with("40{"));
        let (_, arguments) = client.event().await;
        assert_eq!(arguments[0]["user_id"], "ann");
        let mut client = client.change().await;
        let sent = client.ask(json!(["send", {"to": "ann", "data": 1}])).await;
        assert_eq!(sent["connections"], 1, "it is the same user's still");
        assert_eq!(client.event().await.0, "direct");
    });
}

#[test]
fn pages_that_may_connect_may_poll_and_others_may_not() {
    scenario(60, async {
        let origins = json!({"authentication": {"allowedOrigins": ["https://a.example"]}});
        let gateway = Gateway::start(&manifest().spec(origins)).await;
        let ann = Polling::connect(gateway.public).await;
        let send = |method: &str, path: String, headers: &str| {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
                gateway.public
            );
            async move { http::send(gateway.public, request.as_bytes()).await }
        };
        let allowed = send("GET", PATH.into(), "Origin: https://a.example\r\n").await;
        assert_eq!(allowed.status, 200);
        assert_eq!(
            allowed.header("access-control-allow-origin"),
            Some("https://a.example")
        );
        for path in [PATH.to_owned(), ann.path()] {
            let refused = send("GET", path, "Origin: https://b.example\r\n").await;
            assert_eq!(refused.status, 403);
            assert_eq!(refused.header("access-control-allow-origin"), None);
        }
        let unknown = format!("{PATH}&sid=x");
        let unknown = send("GET", unknown, "Origin: https://a.example\r\n").await;
        assert_eq!(unknown.status, 400);
        assert!(
            unknown.header("access-control-allow-origin").is_some(),
            "a page reads why"
        );
        let asks = "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n";
        let preflight = send("OPTIONS", ann.path(), asks).await;
        assert_eq!(preflight.status, 204);
        assert_eq!(
            preflight.header("access-control-allow-methods"),
            Some("GET, POST")
        );
    });
}

#[test]
fn switching_socket_io_off_ends_those_who_poll() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let ann = Polling::connect(gateway.public).await;
        let changed = Polling::connect(gateway.public).await;
        let mut changed = changed.change().await;
        let poll = ann.begin_poll();
        let off = json!({"transports": {"socketIO": {"mode": "Disabled"}}});
        gateway.reconfigure(&manifest().spec(off)).await;
        let answer = poll.await.unwrap();
        assert!(answer.body.contains("transport_disabled"), "{answer:?}");
        assert_eq!(ann.poll().await.status, 404);
        changed.ask(json!(["leave", "nowhere"])).await;
    });
}

#[test]
fn a_session_is_one_connection_of_its_address_whatever_carries_it() {
    scenario(60, async {
        let limits = json!({"connectionsPerAddress": 1});
        let gateway = Gateway::start(&manifest().limits(limits)).await;
        let ann = Polling::connect(gateway.public).await;
        let poll = ann.begin_poll();
        assert_eq!(http::get(gateway.public, PATH).await.status, 429);
        let mut raw = ann.probe().await;
        assert_eq!(poll.await.unwrap().body, "6");
        raw.send(&text("5")).await;
        reached(&gateway, "websocket", 1.0).await;
        assert_eq!(http::get(gateway.public, PATH).await.status, 429);
        drop(raw);
        until("a place", async || {
            (http::get(gateway.public, PATH).await.status == 200).then_some(())
        })
        .await;
    });
}
