//! What the rules of a room forbid, and what a room is.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::prelude::*;

fn manifest() -> Manifest {
    Manifest::unhurried()
        .history(10)
        .room(json!({"match": "news.*", "publish": "Nobody"}))
        .room(json!({"match": "drop.*", "subscribe": "Nobody"}))
        .room(json!({"match": "own.{user_id}"}))
        .room(json!({"match": "own.*", "subscribe": "Nobody", "publish": "Nobody"}))
}

#[test]
fn what_a_rule_forbids_is_forbidden_and_the_connection_stays() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut client = gateway.client().await;
        client.subscribe("news.today").await;
        let publish = json!({"type": "publish", "room": "news.today", "data": 1});
        client.refused(publish, "forbidden").await;
        client.publish("drop.box", json!(1)).await;
        let subscribe = json!({"type": "subscribe", "room": "drop.box"});
        client.refused(subscribe, "forbidden").await;
        let history = json!({"type": "history", "room": "drop.box"});
        client.refused(history, "forbidden").await;
    });
}

#[test]
fn the_first_rule_that_matches_decides_and_the_rest_is_open() {
    scenario(60, async {
        let manifest = Manifest::unhurried()
            .room(json!({"match": "a*", "publish": "Everyone"}))
            .room(json!({"match": "ab*", "publish": "Nobody"}));
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        client.publish("abc", json!(1)).await;
        client.publish("zzz", json!(1)).await;
    });
}

#[test]
fn a_star_is_any_run_of_characters_dots_included_and_the_match_is_the_whole_name() {
    scenario(60, async {
        let manifest = Manifest::unhurried().room(json!({"match": "a*z", "publish": "Nobody"}));
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        for room in ["az", "a.b.z", "a*z", "azaz"] {
            let publish = json!({"type": "publish", "room": room, "data": 1});
            client.refused(publish, "forbidden").await;
        }
        for room in ["azb", "baz", "Az", "a.b"] {
            client.publish(room, json!(1)).await;
        }
    });
}

#[test]
fn user_id_in_a_match_is_the_sessions_user() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut ann = gateway.client().await;
        let mut bob = gateway.client().await;
        let room = format!("own.{}", ann.id());
        ann.subscribe(&room).await;
        ann.publish(&room, json!(1)).await;
        let publish = json!({"type": "publish", "room": room, "data": 1});
        bob.refused(publish, "forbidden").await;
    });
}

#[test]
fn a_plain_client_is_closed_with_the_code_of_what_it_may_not_do() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut reader = gateway.plain("news.today").await;
        reader.say("news").await;
        assert_eq!(reader.closed().await, (4003, "forbidden".to_owned()));
        match Plain::open(gateway.public, "own.else", "").await {
            Ok(mut none) => assert_eq!(none.closed().await, (4003, "forbidden".to_owned())),
            Err(refusal) => {
                panic!("a browser can't read HTTP refusals, so a close was to say it: {refusal:?}")
            }
        }
    });
}

#[test]
fn room_names_are_bytes_of_utf8_without_control_characters() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        let long = "x".repeat(256);
        let emoji = "🎉".repeat(64);
        let odd = [
            ".", "*", ">", "a.b.*", "a b", " ", "~x", "$SYS", "e\u{301}", "é", "\u{202e}", &long,
            &emoji,
        ];
        for room in odd {
            client.subscribe(room).await;
            client.publish(room, json!(room)).await;
            let frame = client.next_of("message").await;
            assert_eq!(
                (&frame["room"], &frame["data"]),
                (&json!(room), &json!(room))
            );
        }
        let too_long = "x".repeat(257);
        let far_too_long = "🎉".repeat(2560);
        for room in [
            "",
            "a\0b",
            "\n",
            "\u{7f}",
            "\u{85}",
            &too_long,
            &far_too_long,
        ] {
            for kind in ["subscribe", "publish", "history", "presence", "unsubscribe"] {
                let request = json!({"type": kind, "room": room, "data": 1});
                client.refused(request, "bad_room").await;
            }
        }
    });
}

#[test]
fn what_a_channel_lacks_is_said_by_its_own_code() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        let history = json!({"type": "history", "room": "lobby"});
        client.refused(history, "no_history").await;
        let presence = json!({"type": "presence", "room": "lobby"});
        client.refused(presence, "no_presence").await;
        let request = json!({"type": "request", "event": "price", "data": {}});
        client.refused(request, "no_handler").await;
        let refresh = json!({"type": "refresh", "token": "x"});
        client.refused(refresh, "unauthenticated").await;
    });
}

#[test]
fn connect_is_the_first_request_or_none() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        let ack = client
            .ack(json!({"type": "connect", "info": {"name": "Ann"}}))
            .await;
        assert_eq!(ack["connection_id"], client.id());
        assert_eq!(ack["session"], client.connected["session"]);
        client
            .refused(json!({"type": "connect"}), "already_connected")
            .await;
        client.subscribe("lobby").await;
        client.publish("lobby", json!(1)).await;
        let frame = client.next_of("message").await;
        assert_eq!(frame["info"], json!({"name": "Ann"}));

        let mut late = gateway.client().await;
        late.subscribe("lobby").await;
        late.refused(json!({"type": "connect"}), "already_connected")
            .await;
    });
}

#[test]
fn a_token_where_no_tokens_are_configured_is_invalid() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        let connect = json!({"type": "connect", "token": "made.up.token"});
        client.refused(connect, "invalid_token").await;
    });
}

#[test]
fn info_is_at_most_a_kilobyte() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        let info = json!("x".repeat(1023));
        client
            .refused(json!({"type": "connect", "info": info}), "bad_request")
            .await;
        let mut other = gateway.client().await;
        other
            .ack(json!({"type": "connect", "info": "x".repeat(1022)}))
            .await;
    });
}
