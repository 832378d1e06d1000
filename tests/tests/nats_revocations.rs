//! Users who are revoked on one gateway are cut on all, also on those that were away.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::http;
use linnet_tests::issuer::{SECRET, Secrets, Signer, now};
use linnet_tests::prelude::*;

const API_KEY: &str = "test-0123456789abcdef0123456789abcdef";

fn manifest(url: &str) -> Manifest {
    let jwt = json!({"keySecretName": SECRET});
    Manifest::unhurried()
        .spec(json!({"authentication": {"jwt": jwt, "apiKeySecretName": SECRET, "trustedProxies": ["127.0.0.0/8"]}}))
        .nats(&[url.to_owned()])
}

async fn gateway(name: &str, url: &str, secrets: &Secrets) -> Gateway {
    let args = [
        "--secrets",
        secrets.path(),
        "--create-stream",
        "--name",
        name,
    ];
    let gateway = Gateway::start_with(&manifest(url), &args).await;
    gateway.ready().await;
    gateway
}

async fn revoke(gateway: &Gateway, user: &str) -> u16 {
    let body = json!({"user": user}).to_string();
    let headers = format!("Authorization: Bearer {API_KEY}\r\nContent-Type: application/json\r\n");
    let answer = http::post(gateway.internal, "/v1/revoke", &headers, &body).await;
    answer.status
}

/// Whether `gateway` refuses this token as revoked.
async fn refuses(gateway: &Gateway, token: &str) -> bool {
    match Client::with_token(gateway.public, token).await {
        Ok(_) => false,
        Err(refusal) => {
            assert!(refusal.body.starts_with("revoked"), "{refusal:?}");
            true
        }
    }
}

#[test]
fn a_user_is_cut_on_every_gateway_and_one_that_starts_later_knows() {
    scenario(120, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        secrets.put("api.test", API_KEY);
        let server = NatsServer::jetstream().await;
        let url = server.url();
        let one = gateway("one", &url, &secrets).await;
        let two = gateway("two", &url, &secrets).await;
        let token = signer.token("ann", &json!({"iat": now() - 5}));
        let mut here = Client::with_token(one.public, &token).await.unwrap();
        let mut there = Client::with_token(two.public, &token).await.unwrap();
        until("the list to be shared", || async {
            (revoke(&one, "ann").await == 200).then_some(())
        })
        .await;
        for client in [&mut here, &mut there] {
            assert_eq!(client.closed().await, (4006, "revoked".into()));
        }
        let three = gateway("three", &url, &secrets).await;
        until("the new gateway to know", || async {
            refuses(&three, &token).await.then_some(())
        })
        .await;
    });
}

#[test]
fn while_nats_is_away_the_last_list_holds_and_what_was_missed_is_read_after() {
    scenario(180, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        secrets.put("api.test", API_KEY);
        let server = NatsServer::jetstream().await;
        let proxy = Proxy::to_nats(&server).await;
        let one = gateway("one", &server.url(), &secrets).await;
        let away = gateway("away", &proxy.nats_url(), &secrets).await;
        let ann = signer.token("ann", &json!({"iat": now() - 5}));
        let bob = signer.token("bob", &json!({"iat": now() - 5}));
        let mut bobs = Client::with_token(away.public, &bob).await.unwrap();
        until("the list to be shared", || async {
            (revoke(&one, "ann").await == 200).then_some(())
        })
        .await;
        until("the other gateway to know", || async {
            refuses(&away, &ann).await.then_some(())
        })
        .await;
        proxy.cut().await;
        assert_eq!(revoke(&one, "bob").await, 200);
        assert!(refuses(&away, &ann).await, "the last list holds");
        bobs.settle().await;
        proxy.pass().await;
        assert_eq!(bobs.closed().await, (4006, "revoked".into()));
    });
}
