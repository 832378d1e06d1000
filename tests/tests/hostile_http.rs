//! Handshakes that are none: each is answered in HTTP with what would have been right, and nobody else notices.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::http;
use linnet_tests::prelude::*;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
const V13: &str = "Sec-WebSocket-Version: 13\r\n";

/// Sends `start` (a request line without version) and header lines.
async fn ask(gateway: &Gateway, start: &str, headers: &[&str]) -> http::Answer {
    let host = gateway.public;
    let request = format!(
        "{start} HTTP/1.1\r\nHost: {host}\r\n{}Connection: close\r\n\r\n",
        headers.concat()
    );
    // A request with an upgrade names its own Connection.
    let request = match headers.contains(&UPGRADE) {
        true => request.replace("Connection: close\r\n", ""),
        false => request,
    };
    http::send(host, request.as_bytes()).await
}

/// The answer to a correct upgrade with `header` added.
async fn upgrade(gateway: &Gateway, header: &str) -> http::Answer {
    let mut raw = Raw::tcp(gateway.public).await;
    raw.upgrade("/ws?room=a", &format!("{header}\r\n")).await
}

#[test]
fn what_is_no_websocket_handshake_is_told_what_one_is() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut bystander = Bystander::new(&gateway).await;

        let plain = ask(&gateway, "GET /ws", &[]).await;
        assert_eq!(plain.status, 426, "{plain:?}");
        assert!(
            plain
                .header("upgrade")
                .unwrap()
                .eq_ignore_ascii_case("websocket")
        );

        for wrong in ["12", "8", "99", "x"] {
            let version = format!("Sec-WebSocket-Version: {wrong}\r\n");
            let old = ask(&gateway, "GET /ws", &[UPGRADE, KEY, &version]).await;
            assert_eq!(
                (old.status, old.header("sec-websocket-version")),
                (426, Some("13")),
                "{old:?}"
            );
        }
        let none = ask(&gateway, "GET /ws", &[UPGRADE, KEY]).await;
        assert_eq!(
            (none.status, none.header("sec-websocket-version")),
            (426, Some("13")),
            "{none:?}"
        );

        for key in [
            "",
            "Sec-WebSocket-Key: short\r\n",
            "Sec-WebSocket-Key: \r\n",
            "Sec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ==\r\n",
        ] {
            let bad = ask(&gateway, "GET /ws", &[UPGRADE, V13, key]).await;
            assert_eq!(bad.status, 400, "{key}: {bad:?}");
            assert!(!bad.body.is_empty(), "{bad:?}");
        }
        let other = ask(
            &gateway,
            "GET /ws",
            &["Upgrade: h2c\r\nConnection: Upgrade\r\n", KEY, V13],
        )
        .await;
        assert_eq!(other.status, 400, "{other:?}");
        let post = ask(&gateway, "POST /ws", &["Content-Length: 0\r\n"]).await;
        assert_eq!(post.status, 405, "{post:?}");
        assert_eq!(gateway.get_public("/nowhere").await.status, 404);
        assert_eq!(gateway.get_public("/ws/").await.status, 404);
        bystander.is_well().await;
    });
}

#[test]
fn unknown_subprotocols_are_refused_by_naming_the_known() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        for protocols in [
            "chat",
            "linnet.v2.json",
            "chat, superchat",
            "LINNET.V1.JSON",
        ] {
            let refused = upgrade(&gateway, &format!("Sec-WebSocket-Protocol: {protocols}")).await;
            assert_eq!(refused.status, 400, "{protocols}: {refused:?}");
        }
        for (protocols, selected) in [
            ("linnet.v1.json", "linnet.v1.json"),
            ("linnet.v1.plain", "linnet.v1.plain"),
            ("chat, linnet.v1.plain", "linnet.v1.plain"),
            ("chat,linnet.v1.json , other", "linnet.v1.json"),
        ] {
            let taken = upgrade(&gateway, &format!("Sec-WebSocket-Protocol: {protocols}")).await;
            assert_eq!(
                (taken.status, taken.header("sec-websocket-protocol")),
                (101, Some(selected)),
                "{protocols}"
            );
        }
        let answer = ask(
            &gateway,
            "GET /ws",
            &[UPGRADE, KEY, V13, "Sec-WebSocket-Protocol: chat\r\n"],
        )
        .await;
        assert_eq!(answer.status, 400);
        assert!(
            answer.body.contains("linnet.v1.json") && answer.body.contains("linnet.v1.plain"),
            "{answer:?}"
        );
        let none = Raw::tcp(gateway.public).await.upgrade("/ws", "").await;
        assert_eq!(
            (none.status, none.header("sec-websocket-protocol")),
            (101, None)
        );
    });
}

#[test]
fn the_accept_key_is_the_one_of_the_rfc() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let answer = Raw::tcp(gateway.public).await.upgrade("/ws", "").await;
        assert_eq!(
            answer.header("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        assert!(
            answer
                .header("upgrade")
                .unwrap()
                .eq_ignore_ascii_case("websocket")
        );
        assert!(
            answer.header("sec-websocket-extensions").is_none(),
            "compression is off by default"
        );
    });
}

#[test]
fn a_plain_handshake_needs_a_room_and_a_query_is_checked() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        for query in ["protocol=plain", "protocol=xml&room=a"] {
            let answer = ask(&gateway, &format!("GET /ws?{query}"), &[UPGRADE, KEY, V13]).await;
            assert_eq!(answer.status, 400, "{query}: {answer:?}");
            assert!(!answer.body.is_empty());
        }
        let mut plain = Raw::upgraded(gateway.public, "protocol=plain&room=caf%C3%A9%20%2B1").await;
        plain.send(&linnet_tests::raw::text("x")).await;
        let mut json = gateway.client().await;
        json.subscribe("café +1").await;
        plain.send(&linnet_tests::raw::text("y")).await;
        assert_eq!(json.skip_to("message").await["room"], "café +1");
    });
}

#[test]
fn a_token_is_refused_where_none_is_accepted_and_never_echoed() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let bearer = "Authorization: Bearer a.b.c";
        let listed = "Sec-WebSocket-Protocol: linnet.v1.json, bearer.a.b.c";
        for header in [bearer, listed] {
            let answer = upgrade(&gateway, header).await;
            assert_eq!(answer.status, 401, "{header}: {answer:?}");
            assert!(!format!("{answer:?}").contains("a.b.c"), "{answer:?}");
        }
        let both = upgrade(&gateway, &format!("{bearer}\r\n{listed}")).await;
        assert_eq!(both.status, 400, "two tokens in two places: {both:?}");
        for line in gateway.log() {
            assert!(!line.contains("a.b.c"), "a token in the log: {line}");
        }
    });
}

#[test]
fn another_origin_is_refused_and_the_same_one_is_not() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let own = format!("Origin: http://{}", gateway.public);
        assert_eq!(upgrade(&gateway, &own).await.status, 101);
        for other in ["https://evil.example", "http://127.0.0.1:1", "null"] {
            let answer = upgrade(&gateway, &format!("Origin: {other}")).await;
            assert_eq!(answer.status, 403, "{other}");
        }

        let listed = json!({"authentication": {"allowedOrigins": ["https://app.example.com"]}});
        let gateway = Gateway::start(&Manifest::unhurried().spec(listed)).await;
        for (origin, status) in [
            ("https://app.example.com", 101),
            ("https://evil.example", 403),
            ("https://app.example.com.evil.example", 403),
        ] {
            let answer = upgrade(&gateway, &format!("Origin: {origin}")).await;
            assert_eq!(answer.status, status, "{origin}");
        }
    });
}

#[test]
fn handshake_headers_are_bounded() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut bystander = Bystander::new(&gateway).await;
        let padding = format!("X-Padding: {}\r\n", "x".repeat(20_000));
        let answer = ask(&gateway, "GET /ws", &[UPGRADE, KEY, V13, &padding]).await;
        assert!(matches!(answer.status, 400 | 431), "{answer:?}");
        bystander.is_well().await;
        for garbage in [
            "\u{16}\u{3}\u{1}garbage of TLS\r\n\r\n",
            "GET\r\n\r\n",
            "\r\n\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
        ] {
            let mut raw = Raw::tcp(gateway.public).await;
            raw.send(garbage.as_bytes()).await;
            raw.shutdown().await;
            let answer = String::from_utf8_lossy(&raw.drain().await).into_owned();
            assert!(
                answer.is_empty()
                    || answer.starts_with("HTTP/1.1 4")
                    || answer.starts_with("HTTP/1.1 5"),
                "{answer}"
            );
        }
        bystander.is_well().await;
    });
}

#[test]
fn who_has_said_all_it_will_say_still_gets_its_answer() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let evil = "Origin: https://evil.example\r\n";
        let refused = format!("GET /ws HTTP/1.1\r\nHost: x\r\n{UPGRADE}{KEY}{V13}{evil}\r\n");
        let nowhere = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".to_owned();
        for (request, status) in [(refused, "HTTP/1.1 403"), (nowhere, "HTTP/1.1 404")] {
            for _ in 0..20 {
                let mut raw = Raw::tcp(gateway.public).await;
                raw.send(request.as_bytes()).await;
                raw.shutdown().await;
                let answer = String::from_utf8_lossy(&raw.drain().await).into_owned();
                assert!(answer.starts_with(status), "{answer:?}");
            }
        }
    });
}

#[test]
fn headers_that_never_end_are_given_up() {
    scenario(120, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut bystander = Bystander::new(&gateway).await;
        let mut slow = Vec::new();
        for _ in 0..50 {
            let mut raw = Raw::tcp(gateway.public).await;
            raw.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n").await;
            slow.push(raw);
        }
        // A header now and then does not buy more time. Each is either answered (408) or just closed.
        let dripping = slow.into_iter().map(|raw| {
            tokio::spawn(async move {
                let mut stream = raw.into_stream();
                let mut buffer = [0; 256];
                for n in 0.. {
                    use tokio::io::{AsyncReadExt, AsyncWriteExt};
                    let drip = std::time::Duration::from_secs(1);
                    match tokio::time::timeout(drip, stream.read(&mut buffer)).await {
                        Ok(Ok(0) | Err(_)) => return n,
                        Ok(Ok(_)) => {}
                        Err(_) => {
                            let _ = stream.write_all(b"X-A: b\r\n").await;
                        }
                    }
                }
                unreachable!()
            })
        });
        for drip in dripping.collect::<Vec<_>>() {
            within("the end of a slow handshake", 60, drip)
                .await
                .unwrap();
        }
        bystander.is_well().await;
    });
}

#[test]
fn sockets_that_say_nothing_at_all_harm_nobody() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut bystander = Bystander::new(&gateway).await;
        let mut silent = Vec::new();
        for _ in 0..500 {
            silent.push(Raw::tcp(gateway.public).await);
        }
        bystander.is_well().await;
        gateway
            .client()
            .await
            .publish("lobby", json!("there is room for more"))
            .await;
        drop(silent);
        bystander.is_well().await;
    });
}
