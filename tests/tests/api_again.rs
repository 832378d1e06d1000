//! Calls with an Idempotency-Key over NATS: sent again, at once, to other gateways, by others, after restarts.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::api::{Api, KEY, problem};
use linnet_tests::http::Answer;
use linnet_tests::issuer::{SECRET, Secrets};
use linnet_tests::prelude::*;

const OTHER: &str = "other-0123456789abcdef0123456789abcdef";

fn manifest(server: &NatsServer) -> Manifest {
    Manifest::unhurried()
        .history(1000)
        .spec(json!({"authentication": {"apiKeySecretName": SECRET}}))
        .room(json!({"match": "live.*", "history": "Disabled"}))
        .nats(&[server.url()])
}

fn secrets() -> Secrets {
    let secrets = Secrets::of(&[]);
    secrets.put("api.test", KEY);
    secrets.put("api.other", OTHER);
    secrets
}

async fn gateway(server: &NatsServer, secrets: &Secrets, name: &str) -> Gateway {
    linnet_tests::api::gateway(&manifest(server), secrets, name).await
}

/// Publishes with an Idempotency-Key.
async fn publish(api: &Api, key: &str, body: &Value) -> Answer {
    let header = format!("Idempotency-Key: {key}\r\n");
    api.post_with("/publish", &header, &body.to_string()).await
}

fn is_replayed(answer: &Answer) -> bool {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.header("idempotency-replayed") == Some("true")
}

/// How many messages a room keeps.
async fn kept(api: &Api, room: &str) -> usize {
    let page = api.told(&format!("/history?room={room}")).await;
    page["messages"].as_array().unwrap().len()
}

#[test]
fn a_call_that_is_sent_again_is_done_once_whichever_gateway_gets_it() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let secrets = secrets();
        let one = gateway(&server, &secrets, "g0").await;
        let two = gateway(&server, &secrets, "g1").await;
        let mut client = two.client().await;
        client.subscribe("live.a").await;
        let (here, there) = (Api::of(&one), Api::of(&two));
        for room in ["a", "live.a"] {
            let body = json!({"room": room, "data": 1});
            let first = publish(&here, room, &body).await;
            assert!(!is_replayed(&first));
            for api in [&here, &there] {
                let again = publish(api, room, &body).await;
                assert!(is_replayed(&again));
                assert_eq!(again.body, first.body);
            }
        }
        let changed = publish(&there, "a", &json!({"room": "a", "data": 2})).await;
        assert_eq!(problem(&changed), (422, "idempotency_mismatch".into()));
        assert_eq!(kept(&here, "a").await, 1);
        publish(&here, "end", &json!({"room": "live.a", "data": "end"})).await;
        assert_eq!(client.next_of("message").await["data"], 1);
        assert_eq!(client.next_of("message").await["data"], "end");
    });
}

#[test]
fn another_callers_key_is_another() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let secrets = secrets();
        let gateway = gateway(&server, &secrets, "g0").await;
        let body = json!({"room": "a", "data": "mine"});
        let mine = publish(&Api::of(&gateway), "k", &body).await;
        let other = publish(&Api::with(&gateway, OTHER), "k", &body).await;
        assert!(!is_replayed(&mine) && !is_replayed(&other));
        assert_ne!(mine.json()["offset"], other.json()["offset"]);
        let answer = publish(
            &Api::with(&gateway, OTHER),
            "k",
            &json!({"room": "b", "data": 1}),
        )
        .await;
        assert_eq!(answer.status, 422, "its own key, not mine");
    });
}

#[test]
fn of_two_calls_at_once_one_is_done() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let secrets = secrets();
        let one = gateway(&server, &secrets, "g0").await;
        let two = gateway(&server, &secrets, "g1").await;
        let (here, there) = (Api::of(&one), Api::of(&two));
        for n in 0..20 {
            let (key, body) = (format!("k{n}"), json!({"room": "a", "data": n}));
            let answers =
                futures_util::future::join_all((0..6).map(|caller| {
                    publish(if caller % 2 == 0 { &here } else { &there }, &key, &body)
                }));
            let mut done = 0;
            for answer in answers.await {
                match answer.status {
                    200 if is_replayed(&answer) => {}
                    200 => done += 1,
                    _ => assert_eq!(problem(&answer), (409, "idempotency_conflict".into())),
                }
            }
            assert_eq!(done, 1);
            until("the answer", || async {
                let answer = publish(&there, &key, &body).await;
                (answer.status == 200).then(|| assert!(is_replayed(&answer)))
            })
            .await;
        }
        assert_eq!(kept(&here, "a").await, 20);
    });
}

#[test]
fn answers_outlive_gateways() {
    scenario(120, async {
        let mut server = NatsServer::jetstream().await;
        let secrets = secrets();
        let mut one = gateway(&server, &secrets, "g0").await;
        let body = json!({"room": "live.a", "data": 1});
        let first = publish(&Api::of(&one), "k", &body).await;
        assert!(!is_replayed(&first));
        one.kill().await;
        server.restart().await;
        let two = gateway(&server, &secrets, "g1").await;
        let again = publish(&Api::of(&two), "k", &body).await;
        assert!(is_replayed(&again));
        assert_eq!(again.body, first.body);
    });
}

#[test]
fn a_publish_whose_outcome_was_unknown_is_the_same_message_when_it_is_sent_again() {
    scenario(180, async {
        let mut server = NatsServer::jetstream().await;
        let secrets = secrets();
        let gateway = gateway(&server, &secrets, "g0").await;
        let api = Api::of(&gateway);
        let body = |n: usize| json!({"room": "a", "data": n});
        assert!(!is_replayed(&publish(&api, "first", &body(0)).await));
        // NATS goes while calls are under way: some are done, of some nobody knows, some were not begun.
        let calls = (0..40).map(|n| {
            let (api, body) = (api.clone(), body(n));
            tokio::spawn(async move { publish(&api, &format!("k{n}"), &body).await })
        });
        let calls: Vec<_> = calls.collect();
        server.kill().await;
        for call in calls {
            let answer = call.await.unwrap();
            assert!([200, 503, 504].contains(&answer.status), "{answer:?}");
        }
        server.launch().await;
        gateway.is_well().await;
        for n in 0..40 {
            until("the call's being done", || async {
                let answer = publish(&api, &format!("k{n}"), &body(n)).await;
                (answer.status == 200).then_some(())
            })
            .await;
        }
        assert_eq!(kept(&api, "a").await, 41);
    });
}

#[test]
fn a_gateway_that_dies_amid_calls_leaves_one_message_for_each_key() {
    scenario(240, async {
        let server = NatsServer::jetstream().await;
        let secrets = secrets();
        let mut one = gateway(&server, &secrets, "g0").await;
        let two = gateway(&server, &secrets, "g1").await;
        let other = Api::of(&two);
        let body = |n: usize| json!({"room": "a", "data": n});
        let mut ann = two.client().await;
        ann.subscribe("a").await;
        let api = Api::of(&one);
        let calls = (0..40).map(|n| {
            let (api, body) = (api.clone(), body(n));
            tokio::spawn(async move { publish(&api, &format!("k{n}"), &body).await })
        });
        let calls: Vec<_> = calls.collect();
        // The first message is there: its answer is being kept, others are being published or not begun.
        ann.next_of("message").await;
        one.kill().await;
        for call in calls {
            let _ = call.await; // who was not answered does not know
        }
        for n in 0..40 {
            // Until the dead gateway's claim has run out it is 409.
            until("the call's being done", || async {
                let answer = publish(&other, &format!("k{n}"), &body(n)).await;
                assert!([200, 409].contains(&answer.status), "{answer:?}");
                (answer.status == 200).then_some(())
            })
            .await;
        }
        assert_eq!(kept(&other, "a").await, 40);
    });
}

#[test]
fn while_answers_can_not_be_kept_a_call_with_a_key_is_not_done() {
    scenario(120, async {
        let mut server = NatsServer::jetstream().await;
        let secrets = secrets();
        let gateway = gateway(&server, &secrets, "g0").await;
        let api = Api::of(&gateway);
        server.stop().await;
        let body = json!({"user": "ann"}).to_string();
        until("an answer that NATS is away", || async {
            let header = "Idempotency-Key: k\r\n";
            let answer = api.post_with("/revoke", header, &body).await;
            (problem(&answer) == (503, "unavailable".into())).then_some(())
        })
        .await;
        server.launch().await;
    });
}
