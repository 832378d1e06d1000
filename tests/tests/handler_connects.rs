//! The channel's handler is asked who may connect, and told who has left.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::backend::{BackEnd, Received, Says};
use linnet_tests::contract::Contract;
use linnet_tests::issuer::{SECRET, Secrets, Signer};
use linnet_tests::ports;
use linnet_tests::prelude::*;
use tokio::sync::oneshot;

/// A channel whose handler at `url` is asked about these events, with these further fields.
fn manifest(url: &str, events: &[&str], more: Value) -> Manifest {
    let handler = json!({"url": url, "events": events});
    Manifest::unhurried()
        .spec(json!({ "handler": handler }))
        .spec(json!({ "handler": more }))
}

/// The same with tokens.
fn with_tokens(manifest: Manifest) -> Manifest {
    let jwt = json!({"keySecretName": SECRET});
    let authentication = json!({"jwt": jwt, "trustedProxies": ["127.0.0.0/8"]});
    manifest.spec(json!({ "authentication": authentication }))
}

fn yes(_: &Received) -> Says {
    Says::yes()
}

#[test]
fn the_handler_greets_with_data_and_puts_into_rooms() {
    scenario(60, async {
        let back_end = BackEnd::start(|_: &Received| {
            Says::Json(json!({"data": {"plan": "free"}, "join": ["news", "vip"],
                "emit": [{"event": "hint", "data": 1}]}))
        })
        .await;
        let manifest = manifest(&back_end.url(), &["connect"], json!({}))
            .history(10)
            .room(json!({"match": "vip", "subscribe": "Nobody"}));
        let contract = Contract::read();
        let gateway = Gateway::start(&manifest).await;
        let mut ann = gateway.client_with("name=Ann").await;
        contract.check_server("", &ann.connected);
        assert_eq!(ann.connected["data"], json!({"plan": "free"}));
        let asked = &back_end.seen()[0];
        assert_eq!(asked.kind(), "connect");
        assert_eq!(asked.data()["connection_id"], ann.id());
        assert_eq!(asked.data()["info"], json!({"name": "Ann"}));
        assert_eq!(asked.data()["protocol"], "linnet.v1.json");
        assert_eq!(ann.next_of("direct").await["event"], "hint");
        let rooms = [
            ann.next_of("subscribed").await,
            ann.next_of("subscribed").await,
        ];
        assert_eq!(
            rooms.map(|frame| frame["room"].clone()),
            [json!("news"), json!("vip")]
        );
        // A new rule ends what rules allow, not what the handler has granted.
        let stricter = manifest
            .clone()
            .room(json!({"match": "news", "subscribe": "Nobody"}));
        gateway.reconfigure(&stricter).await;
        let mut bob = gateway.client().await;
        for room in ["news", "vip"] {
            bob.publish(room, json!(room)).await;
            assert_eq!(ann.next_of("message").await["data"], room);
        }
        let mut plain = gateway.plain("lobby").await;
        let asked = &back_end.hears("connect", 3).await[2];
        assert_eq!(asked.data()["protocol"], "linnet.v1.plain");
        assert_eq!(plain.hear_text().await, "1", "what the handler sends");
        plain.settle("here").await;
        bob.publish("vip", json!("for all")).await;
        assert_eq!(plain.hear_text().await, "for all");
    });
}

#[test]
fn rooms_beyond_those_that_a_connection_may_have_are_told_of() {
    scenario(60, async {
        let back_end =
            BackEnd::start(|_: &Received| Says::Json(json!({"join": ["a", "b", "c"]}))).await;
        let few = json!({"roomsPerConnection": 2});
        let manifest = manifest(&back_end.url(), &["connect"], json!({})).limits(few);
        let gateway = Gateway::start(&manifest).await;
        let mut ann = gateway.client().await;
        let out = ann.skip_to("unsubscribed").await;
        assert_eq!(
            (&out["room"], &out["code"]),
            (&json!("c"), &json!("too_many_rooms"))
        );
        ann.settle().await;
    });
}

#[test]
fn nobody_comes_in_whom_the_handler_refuses_with_a_token_or_without() {
    scenario(60, async {
        let back_end = BackEnd::start(|asked: &Received| match &asked.data()["user_id"] {
            Value::String(user) if user == "ann" => Says::yes(),
            Value::Null => Says::yes(),
            _ => Says::no("banned", "not today"),
        })
        .await;
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let manifest = manifest(&back_end.url(), &["connect", "disconnect"], json!({}));
        let manifest = with_tokens(manifest);
        let arguments = ["--secrets", secrets.path()];
        let gateway = Gateway::start_with(&manifest, &arguments).await;
        let [ann, eve] = ["ann", "eve"].map(|user| signer.token(user, &json!({})));

        let client = Client::with_token(gateway.public, &ann).await.unwrap();
        assert_eq!(client.connected["user_id"], "ann");
        assert_eq!(back_end.seen()[0].data()["user_id"], "ann");

        let mut refused = Raw::tcp(gateway.public).await;
        let token = format!("Sec-WebSocket-Protocol: linnet.v1.json, bearer.{eve}\r\n");
        assert_eq!(refused.upgrade("/ws", &token).await.status, 101);
        assert_eq!(refused.closed().await, (4013, "not today".to_owned()));

        // An anonymous one becomes somebody: the handler is asked again, once.
        let mut nobody = gateway.client().await;
        let ack = nobody.ack(json!({"type": "connect", "token": ann})).await;
        assert_eq!(ack["user_id"], "ann");
        let asked = back_end.seen_of("connect");
        let users: Vec<_> = asked
            .iter()
            .map(|asked| asked.data()["user_id"].clone())
            .collect();
        assert_eq!(
            users,
            [json!("ann"), json!("eve"), Value::Null, json!("ann")]
        );
        assert_eq!(
            asked[2].data()["connection_id"],
            asked[3].data()["connection_id"]
        );

        let mut nobody = gateway.client().await;
        let connect = json!({"type": "connect", "token": eve});
        let error = nobody.refused(connect, "rejected").await;
        assert_eq!(
            (&error["reason"], &error["message"]),
            (&json!("banned"), &json!("not today"))
        );
        assert_eq!(nobody.closed().await, (4013, "not today".to_owned()));

        let ids = [client.id(), gone(client).await];
        assert_eq!(ids[0], ids[1]);
        let left = back_end.hears("disconnect", 1).await;
        assert_eq!(left[0].data()["connection_id"], ids[0]);
        assert_eq!(left.len(), 1, "of whom it has refused it knows");
    });
}

async fn gone(client: Client) -> String {
    let id = client.id();
    client.close().await;
    id
}

#[test]
fn a_plain_client_is_turned_away_too() {
    scenario(60, async {
        let back_end = BackEnd::start(|_: &Received| Says::no("", "")).await;
        let gateway = Gateway::start(&manifest(&back_end.url(), &["connect"], json!({}))).await;
        let mut plain = gateway.plain("lobby").await;
        assert_eq!(plain.closed().await.0, 4013);
    });
}

#[test]
fn where_a_token_must_come_first_the_handler_is_asked_when_it_has() {
    scenario(60, async {
        let back_end = BackEnd::start(|_: &Received| Says::Json(json!({"data": "welcome"}))).await;
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let manifest = with_tokens(manifest(&back_end.url(), &["connect"], json!({})))
            .spec(json!({"authentication": {"anonymous": "Deny"}}));
        let arguments = ["--secrets", secrets.path()];
        let gateway = Gateway::start_with(&manifest, &arguments).await;
        let mut ann = Client::silent(gateway.public).await;
        let subscribe = json!({"type": "subscribe", "room": "lobby"});
        ann.refused(subscribe, "unauthenticated").await;
        assert!(back_end.seen().is_empty(), "nobody is known yet");
        let token = signer.token("ann", &json!({}));
        let ack = ann.ack(json!({"type": "connect", "token": token})).await;
        assert_eq!(
            (&ack["user_id"], &ack["data"]),
            (&json!("ann"), &json!("welcome"))
        );
        let connected = ann.next_of("connected").await;
        assert_eq!(
            (&connected["user_id"], &connected["data"]),
            (&json!("ann"), &json!("welcome"))
        );
        assert_eq!(back_end.seen().len(), 1);
    });
}

#[test]
fn what_a_client_asks_before_the_handler_has_decided_is_done_after_it_in_order() {
    scenario(60, async {
        let (tell, told) = oneshot::channel();
        let first = std::sync::Mutex::new(Some(told));
        let back_end = BackEnd::start(move |_: &Received| match first.lock().unwrap().take() {
            Some(told) => Says::Later(told),
            None => Says::yes(),
        })
        .await;
        let slow = json!({"timeoutSeconds": 60});
        let manifest = manifest(&back_end.url(), &["connect"], slow).history(2000);
        let manifest = manifest.limits(json!({"messageSize": "4Ki"}));
        let gateway = Gateway::start(&manifest).await;
        let mut ann = Client::silent(gateway.public).await;
        back_end.hears("connect", 1).await;
        ann.send(json!({"type": "subscribe", "id": 1, "room": "lobby"}))
            .await;
        // More than a shard reads at once, so that some waits in the kernel.
        let padding = "x".repeat(1000);
        for number in 0..500 {
            let data = json!([number, padding]);
            ann.send(json!({"type": "publish", "room": "lobby", "data": data}))
                .await;
        }
        let mut bob = gateway.client().await;
        bob.subscribe("lobby").await;
        bob.publish("lobby", json!("first")).await;
        tell.send(json!({})).unwrap();
        let frame = ann.next().await;
        assert_eq!(frame["type"], "connected", "{frame}");
        let ack = ann.answer(&json!(1)).await.unwrap();
        assert_eq!(ack["type"], "ack");
        assert_eq!(bob.next_of("message").await["data"], "first");
        for number in 0..500 {
            assert_eq!(bob.next_of("message").await["data"][0], number);
            assert_eq!(ann.next_of("message").await["data"][0], number);
        }
    });
}

#[test]
fn one_that_leaves_while_the_handler_decides_is_told_to_have_left() {
    scenario(60, async {
        let (tell, told) = oneshot::channel();
        let first = std::sync::Mutex::new(Some(told));
        let back_end = BackEnd::start(move |asked: &Received| match asked.kind() {
            "connect" => Says::Later(first.lock().unwrap().take().unwrap()),
            _ => Says::yes(),
        })
        .await;
        let slow = json!({"timeoutSeconds": 60});
        let manifest = manifest(&back_end.url(), &["connect", "disconnect"], slow);
        let gateway = Gateway::start(&manifest).await;
        let ann = Client::silent(gateway.public).await;
        let id = back_end.hears("connect", 1).await[0].data()["connection_id"].clone();
        ann.close().await;
        until("nobody", || async {
            (gateway.metric("linnet_connections").await == 0.0).then_some(())
        })
        .await;
        assert!(
            back_end.seen_of("disconnect").is_empty(),
            "it waits for the answer"
        );
        tell.send(json!({"join": ["lobby"]})).unwrap();
        let left = &back_end.hears("disconnect", 1).await[0];
        assert_eq!(left.data()["connection_id"], id);
        assert_eq!(gateway.metric("linnet_subscriptions").await, 0.0);
    });
}

#[test]
fn without_an_answer_on_failure_decides() {
    scenario(120, async {
        let back_end = BackEnd::start(|_: &Received| Says::Status(500)).await;
        let quick = json!({"timeoutSeconds": 1});
        let with = |url: &str, on: &str| {
            manifest(url, &["connect"], quick.clone()).spec(json!({"handler": {"onFailure": on}}))
        };
        let nobody = format!("http://127.0.0.1:{}/", ports::lasting());
        let gateway = Gateway::start(&with(&back_end.url(), "Deny")).await;
        let refused = || async { Client::silent(gateway.public).await.closed().await };
        let failed = (4112, "handler_failed".to_owned());
        assert_eq!(refused().await, failed);
        back_end.turn(|_| Says::Text("yes".into()));
        assert_eq!(refused().await, failed);
        back_end.turn(|_| Says::Hangs);
        assert_eq!(refused().await, (4113, "handler_timeout".to_owned()));
        gateway.reconfigure(&with(&nobody, "Deny")).await;
        assert_eq!(refused().await, failed);

        gateway.reconfigure(&with(&nobody, "Allow")).await;
        gateway.client().await.subscribe("lobby").await;
        gateway.reconfigure(&with(&back_end.url(), "Allow")).await;
        gateway.client().await.subscribe("lobby").await; // after a second
        // What the handler does say holds all the same.
        back_end.turn(|_| Says::no("banned", "no"));
        assert_eq!(refused().await, (4013, "no".to_owned()));
    });
}

#[test]
fn the_handler_is_told_who_has_left_and_how() {
    scenario(90, async {
        let back_end = BackEnd::start(yes).await;
        let events = ["disconnect", "request"];
        let manifest = manifest(&back_end.url(), &events, json!({}));
        let mut gateway = Gateway::start_with(&manifest, &["--drain", "1"]).await;
        let (ann, bob) = (gateway.client().await, gateway.client().await);
        let (mut eve, dan) = (gateway.client().await, gateway.client().await);
        let ids = [ann.id(), bob.id(), eve.id(), dan.id()];
        ann.close().await;
        let left = back_end.hears("disconnect", 1).await;
        bob.cut();
        back_end.hears("disconnect", 2).await;
        eve.send_raw(tokio_tungstenite::tungstenite::Message::binary(vec![1]))
            .await;
        assert_eq!(eve.closed().await.0, 1003);
        back_end.hears("disconnect", 3).await;
        gateway.signal("TERM");
        gateway.exit(60).await;
        let all = back_end.hears("disconnect", 4).await;
        let told: Vec<_> = all
            .iter()
            .map(|left| {
                let data = left.data();
                (&data["connection_id"], &data["code"], &data["reason"])
            })
            .collect();
        assert_eq!(left[0].data()["reason"], "client");
        let [ann, bob, eve, dan] = ids.map(Value::String);
        assert_eq!(told[0].0, &ann);
        assert_eq!(told[1], (&bob, &json!(1006), &json!("lost")));
        assert_eq!((told[2].0, told[2].1), (&eve, &json!(1003)));
        assert_eq!(told[3], (&dan, &json!(1012), &json!("draining")));
        assert_eq!(all.len(), 4);
    });
}
