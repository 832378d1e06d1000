//! Who sends many bad tokens has to wait, on whichever way they come, and nobody else has.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::issuer::{SECRET, Secrets, Signer};
use linnet_tests::prelude::*;
use linnet_tests::raw::text;

fn manifest(authentication: Value) -> Manifest {
    let jwt = json!({"keySecretName": SECRET});
    Manifest::unhurried()
        .spec(json!({"authentication": {"jwt": jwt}}))
        .spec(json!({ "authentication": authentication }))
}

async fn gateway(secrets: &Secrets, authentication: Value) -> Gateway {
    let manifest = manifest(authentication);
    Gateway::start_with(&manifest, &["--secrets", secrets.path()]).await
}

fn connect(token: &str) -> Value {
    json!({"type": "connect", "id": 1, "token": token})
}

/// Sends bad tokens until the connection is closed for it.
async fn provoke(gateway: &Gateway) {
    let mut raw = Raw::upgraded(gateway.public, "").await;
    let bad = text(&connect("x.y.z").to_string());
    raw.send(&bad.repeat(20)).await;
    assert_eq!(raw.closed().await, (4101, "rate_limited".into()));
}

#[test]
fn a_token_of_an_open_connection_waits_as_those_of_handshakes_do() {
    scenario(120, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let gateway = gateway(&secrets, json!({})).await;
        let token = signer.token("ann", &json!({}));
        let mut ann = Raw::tcp(gateway.public).await;
        let headers = format!("Authorization: Bearer {token}\r\n");
        assert_eq!(ann.upgrade("/ws", &headers).await.status, 101);
        assert_eq!(ann.read_json().await["user_id"], "ann");
        let refresh = json!({"type": "refresh", "id": 2, "token": token}).to_string();
        let (mut refused, mut rounds) = (0, 0);
        while refused < 2 {
            rounds += 1;
            assert!(rounds < 8, "a token was looked at after every one of them");
            // Each wait is twice as long as the one before: sooner or later it is longer than this machine is held up.
            provoke(&gateway).await;
            let mut late = gateway.client().await;
            for answer in [late.request(connect(&token)).await, {
                ann.send(&text(&refresh)).await;
                let answer = ann.read_json().await;
                match answer["type"] == "ack" {
                    true => Ok(answer),
                    false => Err(answer),
                }
            }] {
                let Err(error) = answer else { continue };
                assert_eq!(error["code"], "rate_limited", "{error}");
                let wait = error["retry_after_ms"].as_u64().unwrap();
                assert!((1..=64_000).contains(&wait), "{wait}");
                refused += 1;
            }
            until("the wait to be over", || {
                let token = &token;
                let public = gateway.public;
                async move {
                    let mut client = Client::open(public, "").await.unwrap();
                    client.request(connect(token)).await.ok()
                }
            })
            .await;
        }
        ann.send(&text(&refresh)).await;
        assert_eq!(ann.read_json().await["type"], "ack", "it was never closed");
    });
}

#[test]
fn a_bad_token_that_is_one_refusal_too_many_is_counted_as_well() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let limits = json!({"messagesPerSecond": 1, "messageBurst": 1});
        let manifest = manifest(json!({})).limits(limits);
        let gateway = Gateway::start_with(&manifest, &["--secrets", secrets.path()]).await;
        let token = signer.token("ann", &json!({}));
        // Ten are free. Of each connection's two the second ends it: if that were none, ten connections would be free.
        for round in 1..=10 {
            let mut raw = Raw::upgraded(gateway.public, "").await;
            raw.send(&text(&connect("x.y.z").to_string()).repeat(2))
                .await;
            assert_eq!(raw.closed().await, (4101, "rate_limited".into()));
            let mut client = gateway.client().await;
            let Err(error) = client.request(connect(&token)).await else {
                continue; // from the sixth on: this machine was held up for longer than the wait, which doubles
            };
            assert_eq!(error["code"], "rate_limited", "{error}");
            assert!(round > 5, "after {round} connections");
            return;
        }
        panic!("nobody had to wait");
    });
}

#[test]
fn behind_a_proxy_that_is_not_listed_nobody_waits_for_another_and_the_log_says_what_to_do() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let gateway = gateway(&secrets, json!({"trustedProxies": ["192.0.2.0/24"]})).await;
        // These come as through a proxy, which the gateway hears at 127.0.0.1.
        for _ in 0..30 {
            let refusal = Client::with_token(gateway.public, "x.y.z").await;
            assert_eq!(refusal.unwrap_err().status, 401);
        }
        let mut client = Client::from_afar(gateway.public).await;
        for _ in 0..30 {
            client.refused(connect("x.y.z"), "invalid_token").await;
        }
        client.settle().await;
        let token = signer.token("ann", &json!({}));
        Client::with_token(gateway.public, &token).await.unwrap();
        let told = gateway.log();
        let told: Vec<_> = told
            .iter()
            .filter(|line| line.contains("trustedProxies"))
            .collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("127.0.0.1/32") && told[0].contains("WARN"),
            "{told:?}"
        );
    });
}
