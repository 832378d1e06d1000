//! What people do with a chat: talk, across both protocols, in order, without doubles.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use linnet_tests::prelude::*;
use tokio_tungstenite::tungstenite::Message;

#[test]
fn two_plain_clients_hear_each_other_and_themselves() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut ann = gateway.plain("lobby").await;
        ann.settle("here is ann").await;
        let mut bob = gateway.plain("lobby").await;
        bob.settle("here is bob").await;
        assert_eq!(ann.hear_text().await, "here is bob");

        ann.say("hello").await;
        assert_eq!(ann.hear_text().await, "hello");
        assert_eq!(bob.hear_text().await, "hello");
        bob.say_bytes(&[0, 255, 1]).await;
        for client in [&mut ann, &mut bob] {
            assert_eq!(client.hear().await, Message::binary(vec![0, 255, 1]));
        }
    });
}

#[test]
fn a_plain_client_with_echo_false_does_not_hear_itself() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut listener = gateway.plain("lobby").await;
        listener.settle("ready").await;
        let query = "&echo=false";
        let mut mute = Plain::open(gateway.public, "lobby", query).await.unwrap();

        mute.say("mine").await;
        assert_eq!(listener.hear_text().await, "mine");
        listener.say("yours").await;
        assert_eq!(mute.hear_text().await, "yours");
    });
}

#[test]
fn rooms_do_not_hear_each_other() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        client.subscribe("a").await;
        client.publish("b", json!("elsewhere")).await;
        client.publish("a", json!("here")).await;
        assert_eq!(client.next_of("message").await["data"], "here");
    });
}

#[test]
fn json_and_plain_clients_share_a_room() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut json = gateway.client().await;
        json.subscribe("lobby").await;
        let mut plain = gateway.plain("lobby").await;

        // What the plain client says: text is a string, binary is base64.
        plain.say("a \"quoted\" word ✓").await;
        plain.hear().await;
        let frame = json.next_of("message").await;
        assert_eq!(frame["data"], "a \"quoted\" word ✓", "{frame}");
        assert_eq!(frame["room"], "lobby");
        assert!(frame.get("encoding").is_none(), "{frame}");
        plain.say_bytes(b"\0\x01\xff").await;
        plain.hear().await;
        let frame = json.next_of("message").await;
        assert_eq!(frame["data"], BASE64.encode(b"\0\x01\xff"));
        assert_eq!(frame["encoding"], "base64");

        // What the JSON client says: a string as itself, other JSON as its text, base64 as bytes.
        json.publish("lobby", json!("hi\nthere")).await;
        assert_eq!(plain.hear_text().await, "hi\nthere");
        json.publish("lobby", json!({"a": [1, null]})).await;
        assert_eq!(plain.hear_text().await, r#"{"a":[1,null]}"#);
        let bytes = json!({"type": "publish", "room": "lobby", "data": BASE64.encode([9, 8]), "encoding": "base64"});
        json.ack(bytes).await;
        assert_eq!(plain.hear().await, Message::binary(vec![9, 8]));
    });
}

#[test]
fn data_is_passed_on_as_it_was_written() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        for data in [
            "123456789012345678901234567890",
            "-0.10e-400",
            "null",
            r#"{"b":1,"a":2,"b":3}"#,
            r#""\u00e9\ud83d\ude00 \/""#,
            "[ 1,\t2 ]",
        ] {
            let publish = format!(r#"{{"type":"publish","room":"lobby","data":{data}}}"#);
            client.send_text(publish).await;
            let frame = client.next_text().await;
            assert!(
                frame.contains(&format!(r#""data":{data}"#)),
                "{data}: {frame}"
            );
        }
    });
}

#[test]
fn a_message_says_who_sent_it_what_it_is_and_when() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(10)).await;
        let mut ann = gateway.client_with("name=Ann").await;
        let mut bob = gateway.client().await;
        bob.subscribe("lobby").await;
        let publish =
            json!({"type": "publish", "room": "lobby", "event": "wave", "data": {"n": 1}});
        let ack = ann.ack(publish).await;
        let frame = bob.next_of("message").await;
        assert_eq!(frame["from"], ann.id());
        assert_eq!(frame["event"], "wave");
        assert_eq!(frame["info"], json!({"name": "Ann"}));
        assert_eq!(frame["offset"], ack["offset"]);
        assert_eq!(frame["timestamp"], ack["timestamp"]);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let age = now
            .as_millis()
            .abs_diff(u128::from(frame["timestamp"].as_u64().unwrap()));
        assert!(age < 60_000, "milliseconds since 1970: {frame}");
    });
}

#[test]
fn echo_false_keeps_a_publish_from_its_own_connection_only() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut ann = gateway.client().await;
        let mut bob = gateway.client().await;
        ann.subscribe("lobby").await;
        bob.subscribe("lobby").await;
        ann.ack(json!({"type": "publish", "room": "lobby", "data": 1, "echo": false}))
            .await;
        ann.publish("lobby", json!(2)).await;
        assert_eq!(ann.next_of("message").await["data"], 2);
        assert_eq!(bob.next_of("message").await["data"], 1);
        assert_eq!(bob.next_of("message").await["data"], 2);
    });
}

#[test]
fn subscribers_see_one_order_and_offsets_only_rise() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(1000)).await;
        let mut first = gateway.client().await;
        let mut second = gateway.client().await;
        let mut last = first.subscribe("lobby").await["offset"].as_u64().unwrap();
        second.subscribe("lobby").await;
        let publishers = (0..4).map(|publisher| {
            let addr = gateway.public;
            tokio::spawn(async move {
                let mut client = Client::open(addr, "").await.unwrap();
                let mut before = 0;
                for n in 0..50 {
                    let ack = client.publish("lobby", json!([publisher, n])).await;
                    let offset = ack["offset"].as_u64().unwrap();
                    assert!(offset > before, "a later publish has a later offset: {ack}");
                    before = offset;
                }
            })
        });
        for publisher in publishers.collect::<Vec<_>>() {
            publisher.await.unwrap();
        }
        let mut next = [0; 4];
        for _ in 0..200 {
            let frame = first.next_of("message").await;
            assert_eq!(frame, second.next_of("message").await);
            let offset = frame["offset"].as_u64().unwrap();
            assert!(offset > last, "{frame} after {last}");
            last = offset;
            let publisher = usize::try_from(frame["data"][0].as_u64().unwrap()).unwrap();
            assert_eq!(
                frame["data"][1], next[publisher],
                "one publisher's order holds"
            );
            next[publisher] += 1;
        }
    });
}

#[test]
fn whoever_was_greeted_can_be_reached() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut ann = gateway.client().await;
        for _ in 0..200 {
            let mut newcomer = gateway.client().await;
            let send = json!({"type": "send", "to": newcomer.id(), "data": "welcome"});
            assert_eq!(ann.ack(send).await["connections"], 1);
            newcomer.next_of("direct").await;
        }
    });
}

#[test]
fn a_direct_message_reaches_a_connection_by_its_id() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut ann = gateway.client().await;
        let mut bob = gateway.client().await;
        let send = json!({"type": "send", "to": bob.id(), "event": "psst", "data": {"n": 1}});
        assert_eq!(ann.ack(send).await["connections"], 1);
        let frame = bob.next_of("direct").await;
        assert_eq!(frame["from"], ann.id());
        assert_eq!(frame["event"], "psst");
        assert_eq!(frame["data"], json!({"n": 1}));
        assert!(frame["timestamp"].is_u64(), "{frame}");

        let gone = json!({"type": "send", "to": "~AAAAAAAAAAAAAAAAAAAAAA", "data": 1});
        assert_eq!(ann.ack(gone).await["connections"], 0);
    });
}

#[test]
fn a_direct_message_reaches_a_plain_client_as_a_payload() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut json = gateway.client().await;
        json.subscribe("lobby").await;
        let mut plain = gateway.plain("lobby").await;
        plain.settle("who am I").await;
        let me = json.next_of("message").await["from"].clone();
        let send = json!({"type": "send", "to": me, "data": "psst"});
        assert_eq!(json.ack(send).await["connections"], 1);
        assert_eq!(plain.hear_text().await, "psst");
    });
}

#[test]
fn unsubscribing_ends_delivery_and_may_be_repeated() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        client.subscribe("a").await;
        client.subscribe("b").await;
        client
            .ack(json!({"type": "unsubscribe", "room": "a"}))
            .await;
        client
            .ack(json!({"type": "unsubscribe", "room": "a"}))
            .await;
        client.publish("a", json!(1)).await;
        client.publish("b", json!(2)).await;
        assert_eq!(client.next_of("message").await["data"], 2);
    });
}

#[test]
fn ids_are_echoed_as_they_were_sent_and_requests_without_one_get_no_ack() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        for id in [
            json!(0),
            json!(9_007_199_254_740_991_u64),
            json!("é".repeat(32)),
        ] {
            client
                .send(json!({"type": "unsubscribe", "room": "a", "id": id}))
                .await;
            assert_eq!(client.next_of("ack").await["id"], id);
        }
        client
            .send(json!({"type": "unsubscribe", "room": "a"}))
            .await;
        client.send(json!({"type": "ping"})).await;
        let pong = client.next_of("pong").await;
        assert!(pong.get("id").is_none(), "{pong}");
        for id in [
            json!(9_007_199_254_740_992_u64),
            json!(-1),
            json!(1.5),
            json!("e".repeat(65)),
            json!([1]),
        ] {
            client.send(json!({"type": "ping", "id": id})).await;
            assert_eq!(client.next_of("error").await["code"], "bad_request", "{id}");
        }
    });
}
