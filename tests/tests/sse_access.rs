//! Server-Sent Events: who gets a stream and may publish by POST, from which pages, and what is refused how.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::http;
use linnet_tests::issuer::{SECRET, Secrets, Signer};
use linnet_tests::prelude::*;
use linnet_tests::sse::{JSON, code, manifest, post, refused};

#[test]
fn what_is_refused_is_refused_with_the_protocols_codes() {
    scenario(60, async {
        let manifest = manifest()
            .room(json!({"match": "staff.*", "subscribe": "Nobody", "publish": "Nobody"}))
            .room(json!({"match": "typed", "schema": {"type": "object", "properties": {"n": {"type": "integer"}}}}))
            .limits(json!({"messageSize": "1Ki"}));
        let gateway = Gateway::start(&manifest).await;
        let of = |status: u16, code: &str| (status, code.to_owned());
        assert_eq!(refused(&gateway, "", "").await, of(400, "bad_request"));
        assert_eq!(refused(&gateway, "room=", "").await, of(400, "bad_room"));
        assert_eq!(
            refused(&gateway, "room=staff.a", "").await,
            of(403, "forbidden")
        );
        let many: Vec<_> = (0..129).map(|n| format!("room={n}")).collect();
        assert_eq!(
            refused(&gateway, &many.join("&"), "").await,
            of(400, "too_many_rooms")
        );
        // Where others may be had, the stream says which may not.
        let mut events = Events::open(gateway.public, "room=staff.a&room=b", "")
            .await
            .unwrap();
        events.next_of("connected").await;
        let told = events.next_of("unsubscribed").await;
        assert_eq!(
            (&told["room"], &told["code"]),
            (&json!("staff.a"), &json!("forbidden"))
        );

        let answer = |query: &str, headers: &str, body: &str| {
            let (query, headers, body) = (query.to_owned(), headers.to_owned(), body.to_owned());
            let gateway = &gateway;
            async move { post(gateway, &query, &headers, &body).await }
        };
        assert_eq!(
            code(&answer("room=staff.a", JSON, "1").await),
            of(403, "forbidden")
        );
        assert_eq!(
            code(&answer("room=a", JSON, "{").await),
            of(400, "bad_request")
        );
        assert_eq!(
            code(&answer("room=a", JSON, "1,\"room\":\"b\"").await),
            of(400, "bad_request")
        );
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(
            code(&answer("room=a", JSON, &deep).await),
            of(400, "bad_request")
        );
        let large = format!("\"{}\"", "x".repeat(1024));
        assert_eq!(
            code(&answer("room=a", JSON, &large).await),
            of(413, "message_too_large")
        );
        assert_eq!(
            code(&answer("room=a", "", "1").await),
            of(415, "bad_request")
        );
        assert_eq!(
            code(&answer("room=a&room=b", JSON, "1").await),
            of(400, "bad_request")
        );
        let typed = answer("room=typed", JSON, "{\"n\":\"x\"}").await;
        assert_eq!(code(&typed), of(400, "bad_request"));
        assert_eq!(typed.json()["pointer"], "/n");
        let put = format!(
            "PUT /sse?room=a HTTP/1.1\r\nHost: {}\r\n\r\n",
            gateway.public
        );
        assert_eq!(
            code(&http::send(gateway.public, put.as_bytes()).await),
            of(405, "bad_request")
        );
    });
}

#[test]
fn a_publisher_by_post_has_a_rate_over_all_its_requests() {
    scenario(60, async {
        let manifest = manifest().limits(json!({"messagesPerSecond": 3}));
        let gateway = Gateway::start(&manifest).await;
        let mut limited = 0;
        for _ in 0..40 {
            let answer = post(&gateway, "room=a", JSON, "1").await;
            if answer.status == 429 {
                assert_eq!(code(&answer).1, "rate_limited");
                assert!(answer.header("retry-after").is_some());
                limited += 1;
            }
        }
        assert!(limited > 0);
    });
}

#[test]
fn tokens_say_who_it_is_and_a_revoked_user_is_not_let_back() {
    scenario(60, async {
        const API_KEY: &str = "test-0123456789abcdef0123456789abcdef";
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        secrets.put("api.tests", &format!("{API_KEY}\nscopes: revoke\n"));
        let authentication = json!({
            "anonymous": "Deny", "queryToken": "Allow", "apiKeySecretName": SECRET,
            "jwt": {"keySecretName": SECRET},
        });
        let manifest = manifest().spec(json!({"authentication": authentication}));
        let gateway = Gateway::start_with(&manifest, &["--secrets", secrets.path()]).await;
        let token = signer.token("ann", &json!({}));
        let bearer = format!("Authorization: Bearer {token}\r\n");
        assert_eq!(
            refused(&gateway, "room=a", "").await,
            (401, "unauthenticated".into())
        );
        let bad = "Authorization: Bearer nonsense\r\n";
        assert_eq!(
            refused(&gateway, "room=a", bad).await,
            (401, "invalid_token".into())
        );
        let in_query = format!("room=a&token={token}");
        assert_eq!(
            refused(&gateway, &in_query, "").await,
            (403, "origin".into())
        );
        let own = "Sec-Fetch-Site: same-origin\r\n";
        let mut queried = Events::open(gateway.public, &in_query, own).await.unwrap();
        assert_eq!(queried.next_of("connected").await["user_id"], "ann");
        let mut events = Events::open(gateway.public, "room=a", &bearer)
            .await
            .unwrap();
        events.next_of("connected").await;
        let answer = post(&gateway, "room=a", &format!("{JSON}{bearer}"), "1").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(events.next_of("message").await["from"], "ann");
        let again = format!("{JSON}{bearer}");
        let first = post(&gateway, "room=a&message_id=m1", &again, "2")
            .await
            .json();
        let second = post(&gateway, "room=a&message_id=m1", &again, "2")
            .await
            .json();
        assert_eq!(second["offset"], first["offset"]);
        assert_eq!(second["duplicate"], true);
        events.next_of("message").await;

        let headers = format!("Authorization: Bearer {API_KEY}\r\n{JSON}");
        let revoked = http::post(
            gateway.internal,
            "/v1/revoke",
            &headers,
            r#"{"user":"ann"}"#,
        )
        .await;
        assert_eq!(revoked.status, 200, "{revoked:?}");
        let close = events.next_of("close").await;
        assert_eq!(
            (&close["code"], &close["reason"]),
            (&json!(4006), &json!("revoked"))
        );
        assert_eq!(events.try_next().await, None);
        // An EventSource sends that back by itself, and 204 ends it.
        let id = format!(
            "{bearer}Last-Event-ID: {}\r\n",
            events.last_event_id.unwrap()
        );
        let stopped = Events::open(gateway.public, "room=a", &id)
            .await
            .unwrap_err();
        assert_eq!(stopped.status, 204);
        assert_eq!(
            refused(&gateway, "room=a", &bearer).await,
            (401, "revoked".into())
        );
    });
}

#[test]
fn posts_of_a_user_do_not_take_the_place_of_its_stream() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let manifest = manifest()
            .spec(json!({"authentication": {"jwt": {"keySecretName": SECRET}}}))
            .limits(json!({"connectionsPerUser": 1}));
        let gateway = Gateway::start_with(&manifest, &["--secrets", secrets.path()]).await;
        let bearer = format!(
            "Authorization: Bearer {}\r\n",
            signer.token("ann", &json!({}))
        );
        let mut events = Events::open(gateway.public, "room=a", &bearer)
            .await
            .unwrap();
        events.next_of("connected").await;
        for n in 0..10 {
            post(
                &gateway,
                "room=a",
                &format!("{JSON}{bearer}"),
                &n.to_string(),
            )
            .await;
            assert_eq!(events.next_of("message").await["data"], n);
        }
        let mut second = Events::open(gateway.public, "room=a", &bearer)
            .await
            .unwrap();
        second.next_of("connected").await;
        assert_eq!(events.next_of("close").await["reason"], "replaced");
        let id = format!(
            "{bearer}Last-Event-ID: {}\r\n",
            events.last_event_id.unwrap()
        );
        let stopped = Events::open(gateway.public, "room=a", &id)
            .await
            .unwrap_err();
        assert_eq!(
            stopped.status, 204,
            "two pages do not push each other out for ever"
        );
    });
}

#[test]
fn pages_of_allowed_origins_may_read_and_publish_and_others_may_not() {
    scenario(60, async {
        let origins = json!({"authentication": {"allowedOrigins": ["https://app.example"]}});
        let gateway = Gateway::start(&manifest().spec(origins)).await;
        let good = "Origin: https://app.example\r\n";
        let events = Events::open(gateway.public, "room=a", good).await.unwrap();
        let allowed = Some("https://app.example");
        assert_eq!(events.head.header("access-control-allow-origin"), allowed);
        let answer = post(&gateway, "room=a", &format!("{JSON}{good}"), "1").await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, allowed)
        );
        // Also what is refused: the page is to see why.
        let answer = Events::open(gateway.public, "room=", good)
            .await
            .unwrap_err();
        assert_eq!(answer.header("access-control-allow-origin"), allowed);

        let bad = "Origin: https://evil.example\r\n";
        let answer = Events::open(gateway.public, "room=a", bad)
            .await
            .unwrap_err();
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (403, None)
        );
        let answer = post(
            &gateway,
            "room=a",
            &format!("Content-Type: text/plain\r\n{bad}"),
            "1",
        )
        .await;
        assert_eq!(code(&answer), (403, "origin".into()));
        let image = "Sec-Fetch-Site: cross-site\r\n";
        let answer = Events::open(gateway.public, "room=a", image)
            .await
            .unwrap_err();
        assert_eq!(code(&answer), (403, "origin".into()));
        let preflight = |origin: &str| {
            format!(
                "OPTIONS /sse?room=a HTTP/1.1\r\nHost: {}\r\n{origin}Access-Control-Request-Method: POST\r\n\r\n",
                gateway.public
            )
        };
        let answer = http::send(gateway.public, preflight(good).as_bytes()).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (204, allowed)
        );
        let answer = http::send(gateway.public, preflight(bad).as_bytes()).await;
        assert_eq!(answer.status, 403);
    });
}
