//! History pages, and publishing again without doubles.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::prelude::*;

fn numbers(ack: &Value) -> Vec<i64> {
    let messages = ack["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["data"].as_i64().unwrap())
        .collect()
}

async fn page(client: &mut Client, request: Value) -> Value {
    let mut whole = json!({"type": "history", "room": "lobby"});
    for (key, value) in request.as_object().unwrap() {
        whole[key] = value.clone();
    }
    client.ack(whole).await
}

#[test]
fn history_is_read_in_pages_from_either_end() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut client = gateway.client().await;
        let mut offsets = Vec::new();
        for n in 0..25 {
            let ack = client.publish("lobby", json!(n)).await;
            offsets.push(ack["offset"].as_u64().unwrap());
        }

        let newest = page(&mut client, json!({"limit": 10})).await;
        assert_eq!(numbers(&newest), (15..25).collect::<Vec<_>>());
        assert_eq!(newest["more"], true);
        assert!(newest["epoch"].is_string(), "{newest}");
        let all = page(&mut client, json!({})).await;
        assert_eq!(numbers(&all), (0..25).collect::<Vec<_>>());
        assert_eq!(all["more"], false);

        let older = page(&mut client, json!({"before": offsets[15], "limit": 10})).await;
        assert_eq!(numbers(&older), (5..15).collect::<Vec<_>>());
        assert_eq!(older["more"], true);
        let oldest = page(&mut client, json!({"before": offsets[5], "limit": 10})).await;
        assert_eq!(numbers(&oldest), (0..5).collect::<Vec<_>>());
        assert_eq!(oldest["more"], false);

        let newer = page(&mut client, json!({"after": offsets[4], "limit": 10})).await;
        assert_eq!(numbers(&newer), (5..15).collect::<Vec<_>>());
        assert_eq!(newer["more"], true);
        let end = page(&mut client, json!({"after": offsets[24]})).await;
        assert_eq!((numbers(&end), &end["more"]), (vec![], &json!(false)));
        let first = &all["messages"][0];
        assert_eq!(first["offset"], offsets[0]);
        assert_eq!(first["from"], client.id());
        assert!(
            first.get("type").is_none() && first.get("room").is_none(),
            "{first}"
        );
    });
}

#[test]
fn a_history_limit_is_from_1_to_100() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut client = gateway.client().await;
        for limit in [json!(0), json!(101), json!(-1), json!("ten")] {
            let request = json!({"type": "history", "room": "lobby", "limit": limit});
            client.refused(request, "bad_request").await;
        }
        assert!(numbers(&page(&mut client, json!({"limit": 100})).await).is_empty());
    });
}

#[test]
fn a_room_keeps_as_many_messages_as_the_manifest_says() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(10)).await;
        let mut client = gateway.client().await;
        for n in 0..30 {
            client.publish("lobby", json!(n)).await;
        }
        let all = page(&mut client, json!({})).await;
        assert_eq!(numbers(&all), (20..30).collect::<Vec<_>>());
        assert_eq!(all["more"], false);
    });
}

#[test]
fn messages_leave_history_when_they_are_too_old() {
    scenario(60, async {
        let young = json!({"history": {"maxAgeSeconds": 1, "deduplicationSeconds": 1}});
        let gateway = Gateway::start(&Manifest::unhurried().history(10).spec(young)).await;
        let mut client = gateway.client().await;
        client.publish("lobby", json!(1)).await;
        let gateway = &gateway;
        until("an empty history", || async move {
            let mut client = gateway.client().await;
            numbers(&page(&mut client, json!({})).await)
                .is_empty()
                .then_some(())
        })
        .await;
    });
}

#[test]
fn publishing_again_with_the_same_message_id_makes_one_message() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut ann = gateway.client().await;
        let mut bob = gateway.client().await;
        bob.subscribe("lobby").await;
        let publish =
            |n| json!({"type": "publish", "room": "lobby", "message_id": "one", "data": n});
        let first = ann.ack(publish(1)).await;
        assert!(first.get("duplicate").is_none(), "{first}");
        let again = ann.ack(publish(1)).await;
        assert_eq!(again["duplicate"], true, "{again}");
        assert_eq!(again["offset"], first["offset"]);
        // Another publisher's id is another id, and another room's too.
        let other = bob.ack(publish(2)).await;
        assert!(other.get("duplicate").is_none(), "{other}");
        let elsewhere =
            json!({"type": "publish", "room": "elsewhere", "message_id": "one", "data": 1});
        assert!(ann.ack(elsewhere).await.get("duplicate").is_none());
        for n in [1, 2] {
            assert_eq!(bob.next_of("message").await["data"], n);
        }
        ann.publish("lobby", json!("end")).await;
        assert_eq!(bob.next_of("message").await["data"], "end");
    });
}

#[test]
fn publishing_again_after_a_reconnect_with_the_session_makes_one_message() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut before = gateway.client().await;
        let publish = json!({"type": "publish", "room": "lobby", "message_id": "one", "data": 1});
        let first = before.ack(publish.clone()).await;
        let session = before.connected["session"].clone();
        before.cut();

        let mut after = gateway.client().await;
        let ack = after
            .ack(json!({"type": "connect", "session": session}))
            .await;
        assert_eq!(ack["session"], session, "{ack}");
        let again = after.ack(publish).await;
        assert_eq!(again["duplicate"], true, "{again}");
        assert_eq!(again["offset"], first["offset"]);
    });
}

#[test]
fn a_session_that_is_too_old_is_no_error() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut client = gateway.client().await;
        let old = json!({"type": "connect", "session": "AAAAAAAAAAAAAAAAAAAAAA"});
        let ack = client.ack(old).await;
        assert_eq!(ack["session"].as_str().unwrap().len(), 22, "{ack}");
        client.publish("lobby", json!(1)).await;
    });
}

#[test]
fn a_room_without_history_says_that_it_does_not_deduplicate() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        let publish = json!({"type": "publish", "room": "lobby", "message_id": "one", "data": 1});
        for _ in 0..2 {
            let ack = client.ack(publish.clone()).await;
            assert_eq!(ack["deduplicated"], false, "{ack}");
            assert!(
                ack.get("offset").is_none() && ack.get("epoch").is_none(),
                "{ack}"
            );
            assert_eq!(client.next_of("message").await["data"], 1);
        }
        let plain = client.publish("lobby", json!(2)).await;
        assert!(plain.get("deduplicated").is_none(), "{plain}");
        let history = json!({"type": "history", "room": "lobby"});
        client.refused(history, "no_history").await;
    });
}

#[test]
fn a_rule_can_switch_history_off() {
    scenario(60, async {
        let manifest = Manifest::unhurried()
            .history(100)
            .room(json!({"match": "live.*", "history": "Disabled"}));
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        let live = client.subscribe("live.x").await;
        assert!(
            live.get("offset").is_none() && live.get("epoch").is_none(),
            "{live}"
        );
        let kept = client.subscribe("kept").await;
        assert!(
            kept["offset"].is_u64() && kept["epoch"].is_string(),
            "{kept}"
        );
    });
}
