//! Keys that an issuer publishes: fetched, rotated, and what a bad server does to clients: nothing.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use linnet_tests::issuer::Signer;
use linnet_tests::jwks::{Jwks, Mood};
use linnet_tests::prelude::*;

async fn gateway(jwks: &Jwks) -> Gateway {
    let jwt = json!({"jwksUri": jwks.uri()});
    let trusted = json!(["127.0.0.0/8"]);
    let authentication = json!({"jwt": jwt, "trustedProxies": trusted});
    let manifest = Manifest::unhurried().spec(json!({ "authentication": authentication }));
    Gateway::start(&manifest).await
}

async fn enters(gateway: &Gateway, signer: &Signer) -> Client {
    let token = signer.token("ann", &json!({}));
    until("the token to be taken", || async {
        Client::with_token(gateway.public, &token).await.ok()
    })
    .await
}

/// A client that works, whatever happens to keys.
async fn works(client: &mut Client) {
    client.publish("lobby", json!("still here")).await;
    client.skip_to("message").await;
}

#[test]
fn published_keys_are_taken_and_one_that_is_new_is_fetched_when_it_is_needed() {
    scenario(90, async {
        let (first, second) = (Signer::new("first"), Signer::new("second"));
        let jwks = Jwks::start(Mood::keys(&[&first])).await;
        let gateway = gateway(&jwks).await;
        let mut ann = enters(&gateway, &first).await;
        ann.subscribe("lobby").await;
        jwks.turn(Mood::keys(&[&first, &second]));
        // Names that are not known cause a fetch in five seconds at most; until then it is refused.
        enters(&gateway, &second).await;
        jwks.turn(Mood::keys(&[&second]));
        works(&mut ann).await;
        let stranger = Signer::new("stranger").token("eve", &json!({}));
        let (asked, begun) = (jwks.asked(), std::time::Instant::now());
        for _ in 0..100 {
            let refusal = Client::with_token(gateway.public, &stranger).await;
            assert!(matches!(refusal.unwrap_err().status, 401 | 503));
        }
        // Of a hundred tokens with a name that is not known.
        assert!(
            u64::from(jwks.asked() - asked) <= 2 + begun.elapsed().as_secs() / 5,
            "{} fetches",
            jwks.asked() - asked
        );
    });
}

#[test]
fn a_key_that_is_published_right_after_a_fetch_is_waited_for() {
    scenario(60, async {
        let (first, second) = (Signer::new("first"), Signer::new("second"));
        let jwks = Jwks::start(Mood::keys(&[&first])).await;
        let gateway = gateway(&jwks).await;
        enters(&gateway, &first).await;
        jwks.turn(Mood::keys(&[&first, &second]));
        let token = second.token("ann", &json!({}));
        let client = Client::with_token(gateway.public, &token).await;
        assert!(client.is_ok(), "{:?}", client.unwrap_err());
        let stranger = Signer::new("stranger").token("eve", &json!({}));
        until(
            "the issuer to be asked for a key that it has not",
            || async {
                let refusal = Client::with_token(gateway.public, &stranger).await;
                let status = refusal.unwrap_err().status;
                assert!(matches!(status, 401 | 503), "{status}");
                (status == 401).then_some(())
            },
        )
        .await;
    });
}

#[test]
fn the_password_of_an_address_is_in_no_log() {
    scenario(60, async {
        let signer = Signer::new("a");
        let jwks = Jwks::start(Mood::Fails(500)).await;
        let uri = jwks.uri().replace("http://", "http://ann:hunter2@");
        let jwt = json!({"jwksUri": format!("{uri}?key=hunter2")});
        let manifest = Manifest::unhurried().spec(json!({"authentication": {"jwt": jwt}}));
        let gateway = Gateway::start(&manifest).await;
        let says = |words: &'static str| {
            move |line: &Value| line.to_string().contains(words).then_some(())
        };
        gateway.logged("a failure", says("can't be fetched")).await;
        jwks.turn(Mood::keys(&[&signer]));
        gateway.logged("a success", says("were fetched")).await;
        let log = gateway.log().join("\n");
        assert!(!log.contains("hunter2"), "{log}");
        assert!(log.contains("/keys"), "which address it is: {log}");
    });
}

#[test]
fn whatever_the_server_does_clients_stay_and_known_keys_serve() {
    scenario(180, async {
        let (known, stranger) = (Signer::new("known"), Signer::new("stranger"));
        let jwks = Jwks::start(Mood::keys(&[&known])).await;
        let gateway = gateway(&jwks).await;
        let mut ann = enters(&gateway, &known).await;
        ann.subscribe("lobby").await;
        let unknown = stranger.token("eve", &json!({}));
        for mood in [
            Mood::Fails(500),
            Mood::Fails(404),
            Mood::HangsUp,
            Mood::Redirects,
            Mood::huge(&stranger),
            Mood::Says(b"<html>no</html>".to_vec()),
            Mood::Says(b"{\"keys\":[]}".to_vec()),
            Mood::Says(b"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}".to_vec()),
            Mood::Says(vec![0xff; 100]),
            Mood::Drips,
            Mood::Hangs,
        ] {
            let asked = jwks.asked();
            jwks.turn(mood.clone());
            // The key is asked for as soon as that is allowed again; others are served meanwhile.
            until("a fetch", || async {
                let refusal = Client::with_token(gateway.public, &unknown).await;
                let status = refusal.unwrap_err().status;
                assert!(matches!(status, 401 | 503), "{status} while it {mood:?}");
                enters(&gateway, &known).await;
                (jwks.asked() > asked).then_some(())
            })
            .await;
            works(&mut ann).await;
        }
    });
}

#[test]
fn a_server_that_is_away_at_the_start_is_waited_for_without_letting_anybody_in() {
    scenario(90, async {
        let signer = Signer::new("a");
        let jwks = Jwks::start(Mood::Fails(503)).await;
        let gateway = gateway(&jwks).await;
        gateway.client().await;
        let token = signer.token("ann", &json!({}));
        let refusal = Client::with_token(gateway.public, &token)
            .await
            .unwrap_err();
        assert_eq!(refusal.status, 503, "{refusal:?}");
        jwks.turn(Mood::keys(&[&signer]));
        enters(&gateway, &signer).await;
    });
}

#[test]
fn a_published_secret_is_no_key() {
    scenario(60, async {
        let secret =
            json!({"kty": "oct", "kid": "s", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"});
        let good = Signer::new("good");
        let set = json!({"keys": [secret, good.jwk()]});
        let jwks = Jwks::start(Mood::Says(set.to_string().into_bytes())).await;
        let gateway = gateway(&jwks).await;
        enters(&gateway, &good).await;

        let claims = json!({"sub": "eve", "exp": linnet_tests::issuer::now() + 60});
        for kid in [Some("s".to_owned()), None] {
            let header = Header {
                kid,
                ..Header::new(Algorithm::HS256)
            };
            let key = EncodingKey::from_secret(b"0123456789abcdef0123456789abcdef");
            let token = encode(&header, &claims, &key).unwrap();
            let refusal = Client::with_token(gateway.public, &token)
                .await
                .unwrap_err();
            assert!(matches!(refusal.status, 401 | 503), "{refusal:?}");
        }
    });
}
