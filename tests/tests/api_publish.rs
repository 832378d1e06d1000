//! What services publish over HTTP, and who hears it.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::api::{Api, KEY, gateway, problem};
use linnet_tests::issuer::{SECRET, Secrets, Signer, now};
use linnet_tests::prelude::*;

fn manifest() -> Manifest {
    let jwt = json!({"keySecretName": SECRET});
    Manifest::unhurried()
        .history(100)
        .spec(json!({"authentication": {"jwt": jwt, "apiKeySecretName": SECRET, "trustedProxies": ["127.0.0.0/8"]}}))
        .room(json!({"match": "live.*", "history": "Disabled"}))
        .room(json!({"match": "closed.*", "publish": "Nobody"}))
        .room(json!({"match": "club.*", "subscribe": "Claim", "publish": "Claim"}))
}

fn secrets(signers: &[&Signer]) -> Secrets {
    let secrets = Secrets::of(signers);
    secrets.put("api.test", KEY);
    secrets
}

#[test]
fn what_a_service_publishes_reaches_clients_as_it_was_written() {
    scenario(60, async {
        let secrets = secrets(&[]);
        let manifest = Manifest::unhurried()
            .history(100)
            .spec(json!({"authentication": {"apiKeySecretName": SECRET}}));
        let gateway = gateway(&manifest, &secrets, "g0").await;
        let api = Api::of(&gateway);
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        let body = r#"{"room":"lobby","event":"price","data":{"n": 9007199254740993, "x":1.0}}"#;
        let answer = api.post_with("/publish", "", body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let frame = client.next_text().await;
        assert!(
            frame.contains(r#""data":{"n": 9007199254740993, "x":1.0}"#),
            "{frame}"
        );
        let frame: Value = serde_json::from_str(&frame).unwrap();
        assert_eq!(
            (&frame["event"], &frame["offset"]),
            (&json!("price"), &answer.json()["offset"])
        );
        assert!(frame.get("from").is_none(), "a key is nobody: {frame}");
        let bytes = json!({"room": "lobby", "data": "AAEC", "encoding": "base64"});
        api.done("/publish", &bytes).await;
        let frame = client.next_of("message").await;
        assert_eq!(
            (&frame["data"], &frame["encoding"]),
            (&json!("AAEC"), &json!("base64"))
        );
    });
}

#[test]
fn over_nats_messages_of_services_reach_clients_of_both_gateways_once_and_in_order() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let secrets = secrets(&[]);
        let manifest = manifest().nats(&[server.url()]);
        let one = gateway(&manifest, &secrets, "g0").await;
        let two = gateway(&manifest, &secrets, "g1").await;
        let (mut here, mut there) = (one.client().await, two.client().await);
        for client in [&mut here, &mut there] {
            client.subscribe("lobby").await;
            client.subscribe("live.a").await;
        }
        let api = Api::of(&one);
        for hundred in 0..3 {
            let messages: Vec<_> = (0..100)
                .map(|n| json!({"room": "lobby", "data": hundred * 100 + n, "message_id": format!("{hundred}-{n}")}))
                .collect();
            let body = json!({"messages": messages});
            for repeat in [false, true] {
                let results = api.done("/publish", &body).await;
                for result in results["results"].as_array().unwrap() {
                    assert_eq!(result["duplicate"] == true, repeat, "{result}");
                }
            }
            // A repeat is one whichever gateway it comes to.
            let results = Api::of(&two).done("/publish", &body).await;
            assert_eq!(results["results"][99]["duplicate"], true);
        }
        for client in [&mut here, &mut there] {
            for n in 0..300 {
                assert_eq!(client.next_of("message").await["data"], n);
            }
        }
        let rooms = json!({"rooms": ["lobby", "live.a", ""], "data": "all"});
        let results = api.done("/publish", &rooms).await;
        assert_eq!(results["results"][2]["error"]["code"], "bad_room");
        for client in [&mut here, &mut there] {
            let rooms =
                [client.next().await, client.next().await].map(|frame| frame["room"].clone());
            assert!(
                rooms.contains(&json!("lobby")) && rooms.contains(&json!("live.a")),
                "{rooms:?}"
            );
        }
    });
}

#[test]
fn a_token_publishes_as_its_user_with_the_scope_and_where_its_rules_let_it() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = secrets(&[&signer]);
        let gateway = gateway(&manifest(), &secrets, "g0").await;
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        let more = json!({"scope": "openid linnet:publish", "rooms": ["club.a"]});
        let token = signer.token("ann", &more);
        let ann = Api::with(&gateway, &token);
        let to = |room: &str| json!({"room": room, "data": 1, "message_id": "m"});
        ann.done("/publish", &to("lobby")).await;
        assert_eq!(client.next_of("message").await["from"], "ann");
        ann.done("/publish", &to("club.a")).await;
        for room in ["closed.a", "club.b"] {
            let answer = ann.post("/publish", &to(room)).await;
            assert_eq!(problem(&answer), (403, "forbidden".into()));
        }
        Api::of(&gateway).done("/publish", &to("closed.a")).await;
        // The user's repeat over a WebSocket is the same message; that of a key of the same name is not.
        let mut socket = Client::with_token(gateway.public, &token).await.unwrap();
        let ack = socket
            .ack(json!({"type": "publish", "room": "lobby", "data": 1, "message_id": "m"}))
            .await;
        assert_eq!(ack["duplicate"], true);
        secrets.put("api.ann", "ann-0123456789abcdef0123456789abcdef");
        let key = Api::with(&gateway, "ann-0123456789abcdef0123456789abcdef");
        let published = until("the key's being in force", || async {
            let answer = key.post("/publish", &to("lobby")).await;
            (answer.status == 200).then(|| answer.json())
        })
        .await;
        assert!(published.get("duplicate").is_none(), "{published}");
        for (token, expected) in [
            (signer.token("ann", &json!({})), (403, "forbidden")),
            (
                signer.token("ann", &json!({"scope": "publish"})),
                (403, "forbidden"),
            ),
            (
                signer.token(
                    "ann",
                    &json!({"exp": now() - 60, "scope": "linnet:publish"}),
                ),
                (401, "token_expired"),
            ),
            (Signer::new("a").token("ann", &more), (401, "invalid_token")),
        ] {
            let answer = Api::with(&gateway, &token)
                .post("/publish", &to("lobby"))
                .await;
            assert_eq!(problem(&answer), (expected.0, expected.1.into()));
            assert!(
                answer
                    .header("www-authenticate")
                    .unwrap()
                    .starts_with("Bearer error=")
            );
        }
    });
}

#[test]
fn keys_of_scopes_are_good_for_those_only() {
    scenario(60, async {
        let secrets = secrets(&[]);
        let reader = "reader-0123456789abcdef0123456789";
        secrets.put("api.reader", &format!("{reader}\nscopes: history"));
        let manifest =
            Manifest::unhurried().spec(json!({"authentication": {"apiKeySecretName": SECRET}}));
        let gateway = gateway(&manifest, &secrets, "g0").await;
        let message = json!({"room": "lobby", "data": 1});
        let answer = Api::with(&gateway, reader).post("/publish", &message).await;
        assert_eq!(problem(&answer), (403, "forbidden".into()));
        let answer = Api::with(&gateway, "nobodys-0123456789abcdef")
            .post("/publish", &message)
            .await;
        assert_eq!(problem(&answer), (401, "unauthenticated".into()));
        let answer = linnet_tests::http::post(gateway.internal, "/v1/publish", "", "{}").await;
        assert_eq!(problem(&answer), (401, "unauthenticated".into()));
        Api::of(&gateway).done("/publish", &message).await;
        assert_eq!(
            gateway.get_public("/v1/openapi.json").await.status,
            404,
            "the internal port's only"
        );
    });
}

#[test]
fn while_nats_is_away_publishing_says_so_and_certainly_nothing_is_published() {
    scenario(120, async {
        let mut server = NatsServer::jetstream().await;
        let secrets = secrets(&[]);
        let gateway = gateway(&manifest().nats(&[server.url()]), &secrets, "g0").await;
        let api = Api::of(&gateway);
        let message = |n: u32| json!({"room": "lobby", "data": n});
        api.done("/publish", &message(0)).await;
        server.stop().await;
        until("an answer that NATS is away", || async {
            let answer = api.post("/publish", &message(1)).await;
            (problem(&answer) == (503, "unavailable".into())).then_some(())
        })
        .await;
        server.launch().await;
        gateway.is_well().await;
        api.done("/publish", &message(2)).await;
    });
}

#[test]
fn a_message_that_nats_does_not_answer_has_an_unknown_outcome_in_time() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let secrets = secrets(&[]);
        let gateway = gateway(&manifest().nats(&[server.url()]), &secrets, "g0").await;
        let api = Api::of(&gateway);
        let message = json!({"room": "lobby", "data": 1, "message_id": "m"});
        server.pause();
        let answer = api.post("/publish", &message).await;
        server.resume();
        assert_eq!(problem(&answer), (504, "outcome_unknown".into()));
        until("the message", || async {
            let answer = api.post("/publish", &message).await;
            (answer.status == 200).then_some(())
        })
        .await;
    });
}
