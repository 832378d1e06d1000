//! Users who are revoked on one gateway are cut on all, also on those that were away.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use futures_util::StreamExt;
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
    let gateway = starting(name, url, secrets).await;
    gateway.ready().await;
    gateway
}

/// A gateway that listens and may let nobody in yet.
async fn starting(name: &str, url: &str, secrets: &Secrets) -> Gateway {
    let args = [
        "--secrets",
        secrets.path(),
        "--create-stream",
        "--name",
        name,
    ];
    Gateway::start_with(&manifest(url), &args).await
}

/// Puts that many users on the list that gateways share, `last` behind all of them.
async fn fill(server: &NatsServer, users: usize, last: &str) {
    let streams = server.streams().await;
    let names = streams
        .stream_names()
        .filter_map(|name| async { name.ok() });
    let names: Vec<String> = names.collect().await;
    let bucket = names.iter().find_map(|name| {
        name.strip_prefix("KV_")
            .filter(|name| name.ends_with("_revocations"))
    });
    let list = streams.get_key_value(bucket.unwrap()).await.unwrap();
    let users = (0..users).map(|n| format!("user-{n}"));
    for user in users.chain([last.to_owned()]) {
        let at = now().to_string();
        list.put(BASE64.encode(user), at.into()).await.unwrap();
    }
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

#[test]
fn a_gateway_lets_nobody_in_before_it_has_read_the_list() {
    scenario(180, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        secrets.put("api.test", API_KEY);
        let server = NatsServer::jetstream().await;
        let one = gateway("one", &server.url(), &secrets).await;
        until("the list to be shared", || async {
            (revoke(&one, "bob").await == 200).then_some(())
        })
        .await;
        let token = signer.token("ann", &json!({"iat": now() - 5}));
        fill(&server, 2000, "ann").await;
        for name in ["two", "three", "four"] {
            let late = starting(name, &server.url(), &secrets).await;
            until("the first answer that is not 503", || async {
                match Client::with_token(late.public, &token).await {
                    Err(refusal) if refusal.status == 503 => None,
                    Err(refusal) => {
                        assert!(refusal.body.starts_with("revoked"), "{refusal:?}");
                        Some(())
                    }
                    Ok(_) => panic!("a revoked user was let in"),
                }
            })
            .await;
        }
    });
}

#[test]
fn revoking_answers_503_while_nats_is_away_and_cuts_here_all_the_same() {
    scenario(120, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        secrets.put("api.test", API_KEY);
        let server = NatsServer::jetstream().await;
        let proxy = Proxy::to_nats(&server).await;
        let gateway = gateway("one", &proxy.nats_url(), &secrets).await;
        let token = signer.token("ann", &json!({"iat": now() - 5}));
        let mut ann = Client::with_token(gateway.public, &token).await.unwrap();
        until("the list to be shared", || async {
            (revoke(&gateway, "bob").await == 200).then_some(())
        })
        .await;
        proxy.cut().await;
        until("the gateway to see that NATS is away", || async {
            (revoke(&gateway, "bob").await == 503).then_some(())
        })
        .await;
        assert_eq!(revoke(&gateway, "ann").await, 503);
        assert_eq!(ann.closed().await, (4006, "revoked".into()));
        assert!(refuses(&gateway, &token).await);
        proxy.pass().await;
        until("the list to be shared again", || async {
            (revoke(&gateway, "ann").await == 200).then_some(())
        })
        .await;
    });
}
