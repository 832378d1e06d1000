//! What no client does that polls: it ends its own session, or is refused, and costs nobody else anything.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::Polling;
use linnet_tests::http::{self, Answer};
use linnet_tests::polling::{PATH, SEPARATOR};
use linnet_tests::prelude::*;
use linnet_tests::raw::{frame, op, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn manifest() -> Manifest {
    Manifest::unhurried().spec(json!({"transports": {"socketIO": {"mode": "Enabled"}}}))
}

/// A room with an honest client, which must still be served afterwards.
async fn honest(gateway: &Gateway) -> Polling {
    let mut client = Polling::connect(gateway.public).await;
    client.ask(json!(["join", "lobby"])).await;
    client
}

async fn is_served(client: &mut Polling) {
    client
        .ask(json!(["message", {"room": "lobby", "data": "still"}]))
        .await;
    let (_, arguments) = client.event().await;
    assert_eq!(arguments[0], "still");
}

fn refused(answer: &Answer, code: u64) {
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(answer.json()["code"], code, "{answer:?}");
}

/// Polls until the session is over, and gives all that it told.
async fn told_to_the_end(client: &Polling) -> String {
    let mut told = String::new();
    while told != "1" && !told.ends_with("\u{1e}1") {
        let answer = client.poll().await;
        if answer.status == 400 {
            break;
        }
        if !told.is_empty() {
            told.push(SEPARATOR);
        }
        told.push_str(&answer.body);
    }
    refused(&client.poll().await, 1);
    told
}

/// Begins a payload of ten bytes and leaves it unfinished; it is being heard.
async fn half_a_payload(gateway: &Gateway, client: &Polling) -> Raw {
    let mut raw = Raw::tcp(gateway.public).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        client.path()
    );
    raw.send(head.as_bytes()).await;
    assert_eq!(raw.head().await.status, 100);
    raw.send(b"4").await;
    raw
}

/// A WebSocket that the session may change to, as soon as there is no other.
async fn socket(gateway: &Gateway, client: &Polling) -> Raw {
    until("a socket to change to", async || {
        let mut raw = Raw::tcp(gateway.public).await;
        let answer = raw.upgrade(&client.socket_path(), "").await;
        (answer.status == 101).then_some(raw)
    })
    .await
}

#[test]
fn sids_that_are_made_up_taken_from_elsewhere_or_public_are_nobodys() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let elsewhere = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let foreign = Polling::connect(elsewhere.public).await;
        let mut bob = gateway.client().await;
        bob.subscribe("lobby").await;
        client
            .ask(json!(["message", {"room": "lobby", "data": 1, "echo": false}]))
            .await;
        let public = bob.next_of("message").await["from"].clone();
        let mut forged = client.sid.clone();
        let last = if forged.pop() == Some('A') { 'Q' } else { 'A' };
        forged.push(last);
        let long = "x".repeat(8000);
        for sid in [
            "x",
            "%00",
            public.as_str().unwrap(),
            foreign.sid.as_str(),
            forged.as_str(),
            long.as_str(),
        ] {
            let path = format!("{PATH}&sid={sid}");
            refused(&http::get(gateway.public, &path).await, 1);
            refused(&http::post(gateway.public, &path, "", "41").await, 1);
            let path = path.replace("polling", "websocket");
            let mut raw = Raw::tcp(gateway.public).await;
            refused(&raw.upgrade(&path, "").await, 1);
        }
        is_served(&mut client).await;
    });
}

#[test]
fn two_polls_at_once_end_the_session() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let hostile = Polling::open(gateway.public).await;
        let first = hostile.begin_poll();
        let second = hostile.begin_poll();
        let answers = [first.await.unwrap(), second.await.unwrap()];
        let statuses = answers.each_ref().map(|answer| answer.status);
        assert!(
            statuses == [200, 400] || statuses == [400, 200],
            "{answers:?}"
        );
        for answer in answers {
            match answer.status {
                200 => assert_eq!(answer.body, "1"),
                _ => refused(&answer, 3),
            }
        }
        refused(&hostile.poll().await, 1);
        is_served(&mut client).await;
    });
}

#[test]
fn two_payloads_at_once_end_the_session() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let hostile = Polling::connect(gateway.public).await;
        let _slow = half_a_payload(&gateway, &hostile).await;
        refused(&hostile.post("3").await, 3);
        told_to_the_end(&hostile).await;
        is_served(&mut client).await;
    });
}

#[test]
fn payloads_that_are_none_end_the_session() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let many = vec!["3"; 1025].join("\u{1e}");
        for body in [
            "",
            "7",
            "abc",
            "b!",
            "bAQ",
            "\u{1e}",
            "3\u{1e}",
            "3\u{1e}x",
            many.as_str(),
        ] {
            let hostile = Polling::connect(gateway.public).await;
            refused(&hostile.post(body).await, 3);
            told_to_the_end(&hostile).await;
        }
        let hostile = Polling::connect(gateway.public).await;
        let kind = "Content-Type: application/octet-stream\r\n";
        let answer = http::post(gateway.public, &hostile.path(), kind, "3").await;
        refused(&answer, 3);
        told_to_the_end(&hostile).await;
        let hostile = Polling::connect(gateway.public).await;
        let mut request = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n",
            hostile.path()
        )
        .into_bytes();
        request.extend([b'4', 0xff]);
        refused(&http::send(gateway.public, &request).await, 3);
        told_to_the_end(&hostile).await;
        is_served(&mut client).await;
    });
}

#[test]
fn packets_that_the_protocol_forbids_end_the_session_and_say_why() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        for packet in ["0{}", "2", "2probe", "5", "6", "49", "42[]", "40", "bAAA="] {
            let hostile = Polling::connect(gateway.public).await;
            let poll = hostile.begin_poll();
            assert_eq!(hostile.post(packet).await.status, 200);
            let answer = poll.await.unwrap();
            let packets: Vec<&str> = answer.body.split(SEPARATOR).collect();
            assert!(packets[0].contains("bad_request"), "{packet}: {packets:?}");
            assert_eq!(packets[1..], ["41"], "{packet}");
            assert_eq!(hostile.poll().await.body, "1", "{packet}");
            refused(&hostile.poll().await, 1);
        }
        is_served(&mut client).await;
    });
}

#[test]
fn a_payload_over_bound_ends_the_session_and_one_in_pieces_does_not() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest().limits(json!({"messageSize": "1Ki"}))).await;
        let mut client = honest(&gateway).await;
        let hostile = Polling::connect(gateway.public).await;
        let answer = hostile.post(&format!("4{}", "x".repeat(20_000))).await;
        assert_eq!(answer.status, 413, "{answer:?}");
        told_to_the_end(&hostile).await;
        // One that says nothing of its length.
        let hostile = Polling::connect(gateway.public).await;
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            hostile.path(),
            chunk.repeat(8)
        );
        let answer = http::send(gateway.public, request.as_bytes()).await;
        assert_eq!(answer.status, 413, "{answer:?}");
        told_to_the_end(&hostile).await;
        let body = r#"42["message",{"room":"lobby","data":"split"}]"#;
        let mut raw = Raw::tcp(gateway.public).await;
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            client.path(),
            body.len()
        );
        for byte in request.as_bytes() {
            raw.send(&[*byte]).await;
        }
        assert_eq!(raw.head().await.status, 200);
        assert_eq!(client.event().await.1[0], "split");
        is_served(&mut client).await;
    });
}

#[test]
fn what_comes_behind_a_close_packet_is_not_heard() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let mut bob = gateway.client().await;
        bob.subscribe("lobby").await;
        let late = r#"42["message",{"room":"lobby","data":"late"}]"#;
        let hostile = Polling::connect(gateway.public).await;
        hostile.say(&format!("1{SEPARATOR}{late}")).await;
        refused(&hostile.poll().await, 1);
        refused(&hostile.post(late).await, 1);
        is_served(&mut client).await;
        assert_eq!(bob.next_of("message").await["data"], "still");
    });
}

#[test]
fn who_does_not_poll_is_a_slow_client() {
    scenario(90, async {
        let limits = json!({"sendQueueSize": "64Ki"});
        let gateway = Gateway::start(&manifest().limits(limits).without_pings()).await;
        let mut client = honest(&gateway).await;
        let mut slow = Polling::connect(gateway.public).await;
        slow.ask(json!(["join", "hall"])).await;
        let mut bob = gateway.client().await;
        for n in 0..20 {
            bob.publish("hall", json!([n, "x".repeat(8000)])).await;
        }
        gateway
            .metric_reaches("linnet_slow_consumers_total", 1.0)
            .await;
        told_to_the_end(&slow).await;
        is_served(&mut client).await;
    });
}

#[test]
fn who_polls_and_does_not_read_is_a_slow_client() {
    scenario(90, async {
        let limits = json!({"sendQueueSize": "256Ki", "messageSize": "256Ki"});
        let gateway = Gateway::start(&manifest().limits(limits).without_pings()).await;
        let mut client = honest(&gateway).await;
        let mut slow = Polling::connect(gateway.public).await;
        slow.ask(json!(["join", "hall"])).await;
        let mut raw = Raw::narrow(gateway.public).await;
        let poll = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", slow.path());
        raw.send(poll.as_bytes()).await;
        let mut bob = gateway.client().await;
        for n in 0..20 {
            bob.publish("hall", json!([n, "x".repeat(100_000)])).await;
        }
        gateway
            .metric_reaches("linnet_slow_consumers_total", 1.0)
            .await;
        is_served(&mut client).await;
    });
}

#[test]
fn who_answers_pings_without_polling_is_a_slow_client_too() {
    scenario(90, async {
        let heartbeat = json!({"heartbeat": {"intervalSeconds": 5, "timeoutSeconds": 2}});
        let gateway = Gateway::start(&manifest().spec(heartbeat)).await;
        let slow = Polling::connect(gateway.public).await;
        until("a close as a slow client", async || {
            slow.post("3").await;
            (gateway.metric("linnet_slow_consumers_total").await == 1.0).then_some(())
        })
        .await;
    });
}

#[test]
fn who_goes_away_while_a_poll_waits_is_gone_at_once() {
    scenario(60, async {
        let presence = json!({"match": "*", "presence": {"mode": "Full"}});
        let gateway = Gateway::start(&manifest().room(presence).without_pings()).await;
        let mut bob = gateway.client().await;
        bob.ack(json!({"type": "subscribe", "room": "lobby", "presence": true}))
            .await;
        let ann = honest(&gateway).await;
        assert!(bob.next_of("presence").await["join"].is_array());
        let mut raw = Raw::tcp(gateway.public).await;
        let poll = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", ann.path());
        raw.send(poll.as_bytes()).await;
        drop(raw);
        assert!(bob.next_of("presence").await["leave"].is_array());
        refused(&ann.poll().await, 1);
    });
}

#[test]
fn who_opens_a_session_and_says_nothing_is_closed_and_forgotten() {
    scenario(60, async {
        let heartbeat = json!({"heartbeat": {"intervalSeconds": 5, "timeoutSeconds": 2}});
        let gateway = Gateway::start(&manifest().spec(heartbeat)).await;
        let silent = Polling::open(gateway.public).await;
        assert_eq!(silent.poll().await.body, "1");
        let silent = Polling::open(gateway.public).await;
        until("the end of a session", async || {
            (gateway.metric("linnet_connections").await == 0.0).then_some(())
        })
        .await;
        until("nobody's sid", async || {
            let answer = http::post(gateway.public, &silent.path(), "", "3").await;
            (answer.status == 400).then_some(())
        })
        .await;
    });
}

#[test]
fn a_flood_is_refused_and_then_closed_like_any_other() {
    scenario(60, async {
        let slow = json!({"messagesPerSecond": 1, "messageBurst": 5});
        let gateway = Gateway::start(&manifest().limits(slow)).await;
        let hostile = Polling::connect(gateway.public).await;
        let body = vec![r#"42["order"]"#; 100].join(&SEPARATOR.to_string());
        hostile.post(&body).await;
        let told = told_to_the_end(&hostile).await;
        assert_eq!(told.matches("no_handler").count(), 5, "{told}");
        assert!(told.ends_with("\u{1e}1"), "{told}");
        let closed = gateway.metrics().await;
        let closed = closed.iter().find(|sample| {
            sample.name == "linnet_connections_closed_total"
                && sample.labels["code"] == "rate_limited"
        });
        assert_eq!(closed.unwrap().value, 1.0);
    });
}

#[test]
fn changes_that_race_or_go_wrong_leave_one_session() {
    scenario(90, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let path = client.socket_path();
        // Of many at once, one is let in.
        let mut tries = Vec::new();
        for _ in 0..10 {
            let (path, addr) = (path.clone(), gateway.public);
            tries.push(tokio::spawn(async move {
                let mut raw = Raw::tcp(addr).await;
                (raw.upgrade(&path, "").await.status, raw)
            }));
        }
        let mut chosen = Vec::new();
        for attempt in tries {
            match attempt.await.unwrap() {
                (101, raw) => chosen.push(raw),
                (status, _) => assert_eq!(status, 400),
            }
        }
        assert_eq!(chosen.len(), 1);
        drop(chosen);
        for (frames, code) in [
            (text("5"), 1003),
            (text("2"), 1003),
            (text("4x"), 1003),
            (text(""), 1003),
            ([text("2probe"), text("2probe")].concat(), 1003),
            (frame(0x80 | op::BINARY, b"2probe"), 1003),
            (text(&"2".repeat(1000)), 1009),
            (vec![0xf0, 0x80, 0, 0, 0, 0], 1002),
        ] {
            let mut raw = socket(&gateway, &client).await;
            raw.send(&frames).await;
            assert_eq!(raw.closed().await.0, code);
        }
        is_served(&mut client).await;
        // A poll that is not back yet when the client says that it has changed.
        let poll = client.begin_poll();
        let mut raw = socket(&gateway, &client).await;
        raw.send(&[text("2probe"), text("5"), text(r#"421["leave","x"]"#)].concat())
            .await;
        assert_eq!(raw.read_text().await, "3probe");
        assert_eq!(raw.read_text().await, "431[{}]");
        let answer = poll.await.unwrap();
        // It may have come only after the change.
        assert!(answer.status == 400 || answer.body == "6", "{answer:?}");
    });
}

#[test]
fn a_payload_under_way_when_a_session_changes_ends_it() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let hostile = Polling::connect(gateway.public).await;
        let _slow = half_a_payload(&gateway, &hostile).await;
        let mut raw = hostile.probe().await;
        raw.send(&text("5")).await;
        let code = raw.closed().await.0;
        assert_eq!(code, 1006, "a socket that never was the session's");
        is_served(&mut client).await;
    });
}

#[test]
fn one_connection_may_carry_a_whole_session() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = honest(&gateway).await;
        let mut stream = Raw::tcp(gateway.public).await.into_stream();
        let request = |method: &str, body: &str| {
            format!(
                "{method} {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
                client.path(),
                body.len()
            )
        };
        let ask = r#"421["leave","x"]"#;
        // Pipelined, more than one buffer of them.
        let both = [request("POST", ask), request("GET", "")].concat();
        for _ in 0..200 {
            stream.write_all(both.as_bytes()).await.unwrap();
            let mut heard = String::new();
            while !heard.ends_with("431[{}]") {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).await.unwrap();
                assert!(count > 0, "{heard}");
                heard.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
        }
        is_served(&mut client).await;
    });
}
