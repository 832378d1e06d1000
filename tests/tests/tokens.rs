//! Tokens: who they let in, for how long, and into which rooms.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::http;
use linnet_tests::issuer::{SECRET, Secrets, Signer, now};
use linnet_tests::prelude::*;
use linnet_tests::raw::text;

const API_KEY: &str = "test-0123456789abcdef0123456789abcdef";

/// Takes tokens of the Secret; `club.*` needs the claim, `users.*` a token, and each user has `own.<user>`.
fn manifest() -> Manifest {
    let jwt = json!({"keySecretName": SECRET});
    Manifest::unhurried()
        .spec(json!({"authentication": {"jwt": jwt, "apiKeySecretName": SECRET, "trustedProxies": ["127.0.0.0/8"]}}))
        .room(json!({"match": "club.*", "subscribe": "Claim", "publish": "Claim"}))
        .room(json!({"match": "users.*", "subscribe": "Authenticated", "publish": "Authenticated"}))
        .room(json!({"match": "own.{user_id}", "subscribe": "Authenticated", "publish": "Nobody"}))
        .room(json!({"match": "own.*", "subscribe": "Nobody", "publish": "Nobody"}))
}

async fn gateway(secrets: &Secrets, manifest: &Manifest) -> Gateway {
    Gateway::start_with(manifest, &["--secrets", secrets.path()]).await
}

async fn enter(gateway: &Gateway, token: &str) -> Client {
    match Client::with_token(gateway.public, token).await {
        Ok(client) => client,
        Err(refusal) => panic!("refused: {refusal:?}"),
    }
}

async fn revoke(gateway: &Gateway, user: &str) -> http::Answer {
    let body = json!({"user": user}).to_string();
    let headers = format!("Authorization: Bearer {API_KEY}\r\nContent-Type: application/json\r\n");
    http::post(gateway.internal, "/v1/revoke", &headers, &body).await
}

#[test]
fn a_token_says_who_somebody_is_and_which_rooms_are_theirs() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let gateway = gateway(&secrets, &manifest()).await;
        let rooms = json!({"rooms": ["club.a", {"match": "club.b", "allow": ["subscribe"]}]});
        let mut ann = enter(&gateway, &signer.token("ann", &rooms)).await;
        assert_eq!(ann.connected["user_id"], "ann");
        for room in ["club.a", "club.b", "users.x", "own.ann", "open"] {
            ann.subscribe(room).await;
        }
        for room in ["club.c", "own.bob"] {
            for kind in ["subscribe", "history", "presence"] {
                ann.refused(json!({"type": kind, "room": room}), "forbidden")
                    .await;
            }
        }
        let publish = |room: &str| json!({"type": "publish", "room": room, "data": 1});
        ann.ack(publish("club.a")).await;
        for room in ["club.b", "own.ann"] {
            ann.refused(publish(room), "forbidden").await;
        }
        let mut nobody = gateway.client().await;
        assert!(nobody.connected.get("user_id").is_none());
        nobody.subscribe("open").await;
        for room in ["club.a", "users.x", "own.ann"] {
            let ask = json!({"type": "subscribe", "room": room});
            nobody.refused(ask, "forbidden").await;
            nobody.refused(publish(room), "forbidden").await;
        }
        ann.publish("open", json!("hello")).await;
        assert_eq!(nobody.skip_to("message").await["from"], "ann");
    });
}

#[test]
fn a_token_is_taken_from_the_header_the_subprotocols_and_the_first_request() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let deny = json!({"authentication": {"anonymous": "Deny"}});
        let gateway = gateway(&secrets, &manifest().spec(deny)).await;
        let token = signer.token("ann", &json!({}));
        let ann = enter(&gateway, &token).await; // the subprotocols
        assert_eq!(ann.connected["user_id"], "ann");
        let headers = format!("Authorization: Bearer {token}\r\n");
        let mut raw = Raw::tcp(gateway.public).await;
        assert_eq!(raw.upgrade("/ws", &headers).await.status, 101);
        let mut raw = Raw::tcp(gateway.public).await;
        let twice = format!("{headers}Sec-WebSocket-Protocol: linnet.v1.json, bearer.{token}\r\n");
        assert_eq!(raw.upgrade("/ws", &twice).await.status, 400);
        let mut raw = Raw::tcp(gateway.public).await;
        let query = format!("/ws?token={token}");
        assert_eq!(
            raw.upgrade(&query, "").await.status,
            400,
            "it is not allowed here"
        );
        let mut late = Client::silent(gateway.public).await;
        late.refused(json!({"type": "ping"}), "unauthenticated")
            .await;
        let bad = json!({"type": "connect", "token": "x.y.z"});
        late.refused(bad, "invalid_token").await;
        let ack = late.ack(json!({"type": "connect", "token": token})).await;
        assert_eq!(ack["user_id"], "ann");
        let refusal = Plain::open(gateway.public, "open", "").await.unwrap_err();
        assert_eq!(
            refusal.status, 401,
            "the plain protocol has no first request"
        );
    });
}

#[test]
fn a_token_in_the_query_is_taken_where_the_channel_says_so() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let allow = json!({"authentication": {"queryToken": "Allow"}});
        let gateway = gateway(&secrets, &manifest().spec(allow)).await;
        let token = signer.token("ann", &json!({}));
        let path = format!("/ws?token={token}");
        let mut raw = Raw::tcp(gateway.public).await;
        assert_eq!(raw.upgrade(&path, "").await.status, 403, "no origin");
        let mut raw = Raw::tcp(gateway.public).await;
        let origin = format!("Origin: http://{}\r\n", gateway.public);
        assert_eq!(raw.upgrade(&path, &origin).await.status, 101);
        assert_eq!(raw.read_json().await["user_id"], "ann");
        assert!(!gateway.log().iter().any(|line| line.contains(&token[..40])));
    });
}

#[test]
fn who_does_not_refresh_in_time_is_told_and_then_closed() {
    scenario(90, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let gateway = gateway(&secrets, &manifest()).await;
        // Expired already, but for the leeway of 30 s.
        let left = |seconds: u64| json!({"exp": now() - 30 + seconds, "rooms": ["club.a"]});
        let mut ann = enter(&gateway, &signer.token("ann", &left(40))).await;
        let mut bob = enter(&gateway, &signer.token("bob", &left(20))).await;
        ann.subscribe("club.a").await;
        ann.subscribe("users.x").await;
        for (client, most) in [(&mut bob, 10_000), (&mut ann, 20_000)] {
            let told = client.skip_to("token_expiring").await;
            assert!(told["within_ms"].as_u64().unwrap() <= most, "{told}");
        }
        let newer = signer.token("ann", &json!({"rooms": ["club.b"]}));
        ann.ack(json!({"type": "refresh", "token": newer})).await;
        let ended = ann.skip_to("unsubscribed").await;
        assert_eq!(
            (&ended["room"], &ended["code"]),
            (&json!("club.a"), &json!("forbidden"))
        );
        assert_eq!(bob.closed().await, (4201, "token_expired".into()));
        ann.settle().await;
        ann.publish("users.x", json!(1)).await;
        assert_eq!(
            ann.skip_to("message").await["room"],
            "users.x",
            "it is still there"
        );
        let other = signer.token("bob", &json!({}));
        ann.refused(json!({"type": "refresh", "token": other}), "invalid_token")
            .await;
    });
}

#[test]
fn what_a_narrower_token_overtakes_is_refused_and_nothing_is_acked_after_unsubscribed() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let gateway = gateway(&secrets, &manifest()).await;
        let token = signer.token("ann", &json!({"rooms": ["club.a", "club.b", "club.c"]}));
        let newer = signer.token("ann", &json!({"rooms": ["club.b"]}));
        let mut ann = Raw::tcp(gateway.public).await;
        let headers = format!("Authorization: Bearer {token}\r\n");
        assert_eq!(ann.upgrade("/ws", &headers).await.status, 101);
        assert_eq!(ann.read_json().await["type"], "connected");
        let subscribe = |id, room| json!({"type": "subscribe", "id": id, "room": room});
        ann.send(&text(&subscribe(0, "club.c").to_string())).await;
        assert_eq!(ann.read_json().await["type"], "ack");
        // In one piece, so that the rooms are asked for before the first of them is there.
        let requests = [
            subscribe(1, "club.a"),
            subscribe(2, "club.c"),
            json!({"type": "refresh", "id": 3, "token": newer}),
            subscribe(4, "club.a"),
            subscribe(5, "club.b"),
        ];
        let frames = requests.iter().map(|request| text(&request.to_string()));
        ann.send(&frames.collect::<Vec<_>>().concat()).await;
        let mut heard = Vec::new();
        while heard.len() < 7 {
            heard.push(ann.read_json().await);
        }
        for (id, kind) in [
            (1, "error"),
            (2, "error"),
            (3, "ack"),
            (4, "error"),
            (5, "ack"),
        ] {
            let answers: Vec<_> = heard.iter().filter(|frame| frame["id"] == id).collect();
            assert_eq!(answers.len(), 1, "{id}: {heard:?}");
            assert_eq!(answers[0]["type"], kind, "{id}: {heard:?}");
            if kind == "error" {
                assert_eq!(answers[0]["code"], "forbidden", "{id}: {heard:?}");
            }
        }
        let ended = heard.iter().filter(|frame| frame["type"] == "unsubscribed");
        let mut ended: Vec<_> = ended.map(|frame| frame["room"].clone()).collect();
        ended.sort_by_key(ToString::to_string);
        assert_eq!(ended, ["club.a", "club.c"]);
        let bob = signer.token("bob", &json!({"rooms": ["club.*"]}));
        let mut bob = enter(&gateway, &bob).await;
        for room in ["club.a", "club.c", "club.b"] {
            bob.publish(room, json!(room)).await;
        }
        let message = ann.read_json().await;
        assert_eq!(message["room"], "club.b", "{message}");
    });
}

#[test]
fn a_revoked_user_is_cut_and_comes_back_with_a_newer_token_only() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        secrets.put("api.test", &format!("{API_KEY}\nscopes: revoke\n"));
        let gateway = gateway(&secrets, &manifest()).await;
        let old = signer.token("ann", &json!({"iat": now() - 5}));
        let mut ann = enter(&gateway, &old).await;
        let mut bob = enter(&gateway, &signer.token("bob", &json!({}))).await;
        let answer = revoke(&gateway, "ann").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(ann.closed().await, (4006, "revoked".into()));
        let refusal = Client::with_token(gateway.public, &old).await.unwrap_err();
        assert_eq!(refusal.status, 401);
        assert!(refusal.body.starts_with("revoked"), "{}", refusal.body);
        let newer = signer.token("ann", &json!({"iat": now() + 5}));
        enter(&gateway, &newer).await;
        bob.settle().await;
        let answer = revoke(&gateway, "~nobody").await;
        assert_eq!(answer.status, 400, "{answer:?}");
        let bare = http::post(gateway.internal, "/v1/revoke", "", "{}").await;
        assert_eq!(bare.status, 401);
        secrets.put("api.test", &format!("{API_KEY}\nscopes: publish\n"));
        until("the key to lose its scope", || async {
            (revoke(&gateway, "bob").await.status == 403).then_some(())
        })
        .await;
    });
}

#[test]
fn a_secret_that_is_missing_answers_503_until_it_is_there() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[]);
        let gateway = gateway(&secrets, &manifest()).await;
        let token = signer.token("ann", &json!({}));
        let refusal = Client::with_token(gateway.public, &token)
            .await
            .unwrap_err();
        assert_eq!(refusal.status, 503);
        assert!(
            refusal.body.starts_with("keys_unavailable"),
            "{}",
            refusal.body
        );
        gateway.client().await; // anonymous ones need none
        secrets.add(&signer);
        until("the key to be taken", || async {
            Client::with_token(gateway.public, &token).await.ok()
        })
        .await;
    });
}

#[test]
fn a_users_connections_get_what_is_sent_to_the_user() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let gateway = gateway(&secrets, &manifest()).await;
        let token = signer.token("ann", &json!({}));
        let mut one = enter(&gateway, &token).await;
        let mut two = enter(&gateway, &token).await;
        let mut bob = enter(&gateway, &signer.token("bob", &json!({}))).await;
        let ack = bob
            .ack(json!({"type": "send", "to": "ann", "data": "hi"}))
            .await;
        assert_eq!(ack["connections"], 2);
        for client in [&mut one, &mut two] {
            let direct = client.skip_to("direct").await;
            assert_eq!(
                (&direct["from"], &direct["data"]),
                (&json!("bob"), &json!("hi"))
            );
        }
        let ack = bob
            .ack(json!({"type": "send", "to": "nobody", "data": 1}))
            .await;
        assert_eq!(ack["connections"], 0);
    });
}
