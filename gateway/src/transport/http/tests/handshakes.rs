//! Handshakes: what is agreed on, what is refused, and that nothing stays behind.

use std::io::Read;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Port, UPGRADE, channel, send, within};
use crate::drain::Phase;
use crate::transport::http::Reason;

#[tokio::test]
async fn an_accepted_handshake_gives_the_bare_socket_away() {
    let port = Port::open("").await;
    let offer = "Sec-WebSocket-Protocol: linnet.v1.plain\r\n";
    let path = "/ws?room=caf%C3%A9&echo=false&name=A%22b";
    let (answer, mut client) = port.upgrade(path, offer).await;
    assert_eq!(answer.status, 101, "{answer:?}");
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("connection"), Some("upgrade"));
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(
        answer.header("sec-websocket-protocol"),
        Some("linnet.v1.plain")
    );
    assert_eq!(answer.header("sec-websocket-extensions"), None);

    let adopted = port.adopted().await;
    assert_eq!(adopted.opening.protocol, 1);
    assert_eq!(
        adopted.opening.handshake.room.as_ref().unwrap().as_str(),
        "café"
    );
    assert!(!adopted.opening.handshake.echo);
    assert_eq!(adopted.opening.info.as_deref(), Some(r#"{"name":"A\"b"}"#));
    assert_eq!(adopted.opening.deflate, None);
    assert!(adopted.opening.client.is_loopback());
    assert!(adopted.early.is_empty());
    assert!(
        adopted.stream.nodelay().unwrap(),
        "inherited from the listener"
    );
    let mut stream = &adopted.stream;
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);

    client.write_all(b"frames").await.unwrap();
    adopted.stream.set_nonblocking(false).unwrap();
    let mut bytes = [0; 6];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"frames");
    drop(adopted);
    assert_eq!(
        within(client.read(&mut bytes)).await.unwrap(),
        0,
        "the only handle"
    );
}

#[tokio::test]
async fn what_comes_right_behind_the_request_goes_with_the_socket() {
    let port = Port::open("").await;
    let mut client = port.connect().await;
    let headers = format!("{UPGRADE}\r\nearly bytes");
    assert_eq!(send(&mut client, "GET /ws", &headers).await.status, 101);
    // The helper ends the request with one more line end.
    assert_eq!(port.adopted().await.early, b"early bytes\r\n");
}

#[tokio::test]
async fn no_task_stays_behind_an_upgrade() {
    let port = Port::open("").await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    let mut kept = Vec::new();
    for _ in 0..20 {
        let (answer, client) = port.upgrade("/ws", "").await;
        assert_eq!(answer.status, 101);
        kept.push((client, port.adopted().await));
    }
    within(async {
        while tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(
        port.public.connections(),
        0,
        "their places are free as well"
    );
}

#[tokio::test]
async fn refusals_have_a_status_a_reason_and_words() {
    let port = Port::open("").await;
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let v13 = "Sec-WebSocket-Version: 13\r\n";
    let v8 = "Sec-WebSocket-Version: 8\r\n";
    let right = |more: &str| format!("{UPGRADE}{more}");
    let table = [
        ("POST /ws", right(""), 405, Reason::Method),
        ("GET /ws", String::new(), 426, Reason::Upgrade),
        (
            "GET /ws",
            format!("{upgrade}{key}{v8}"),
            426,
            Reason::Version,
        ),
        ("GET /ws", format!("{upgrade}{v13}"), 400, Reason::Key),
        (
            "GET /ws",
            right("Origin: http://evil.example\r\n"),
            403,
            Reason::Origin,
        ),
        (
            "GET /ws",
            right("Sec-WebSocket-Protocol: chat\r\n"),
            400,
            Reason::Subprotocol,
        ),
        ("GET /ws?protocol=plain", right(""), 400, Reason::Query),
        ("GET /ws?token=secret", right(""), 400, Reason::Token),
        (
            "GET /ws",
            right("Authorization: Bearer secret\r\n"),
            401,
            Reason::InvalidToken,
        ),
        (
            "GET /ws",
            right("Content-Length: 3\r\n"),
            400,
            Reason::Upgrade,
        ),
    ];
    for (start, headers, status, reason) in table {
        let before = port.refused(reason);
        let answer = port.ask(start, &headers).await;
        assert_eq!(answer.status, status, "{start} {headers}: {answer:?}");
        assert!(!answer.body.is_empty() && !answer.body.contains("secret"));
        assert_eq!(port.refused(reason), before + 1, "{reason:?}");
        match status {
            405 => assert_eq!(answer.header("allow"), Some("GET")),
            426 => assert_eq!(answer.header("upgrade"), Some("websocket")),
            401 => assert!(answer.body.contains("invalid_token")),
            _ => {}
        }
    }
    assert_eq!(port.public.connections(), 0, "no place is kept");
}

#[tokio::test]
async fn an_upgrade_needs_http_1_1() {
    let port = Port::open("").await;
    let mut client = port.connect().await;
    let request = format!("GET /ws HTTP/1.0\r\nHost: x\r\n{UPGRADE}\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(client.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 400"), "{answer}");
}

#[tokio::test]
async fn a_draining_gateway_sends_everyone_elsewhere() {
    let port = Port::open("  console: Enabled\n").await;
    let (accepted, _stays) = port.upgrade("/ws", "").await;
    assert_eq!(accepted.status, 101);
    port.lifecycle.enter(Phase::Draining);
    for (start, headers) in [("GET /ws", UPGRADE), ("GET /ws", ""), ("GET /", "")] {
        let answer = port.ask(start, headers).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert_eq!(
        port.refused(Reason::Draining),
        2,
        "the page is no handshake"
    );
}

#[tokio::test]
async fn places_bound_the_connections_and_are_free_again() {
    let port = Port::open("  limits: {connectionsPerGateway: 2}\n").await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let (answer, client) = port.upgrade("/ws", "").await;
        assert_eq!(answer.status, 101);
        clients.push(client);
    }
    // Before any look at the request: it need not even be a handshake.
    let full = port.ask("GET /ws", "").await;
    assert_eq!(full.status, 503, "{full:?}");
    assert!(full.header("retry-after").is_some());
    assert_eq!(port.refused(Reason::Full), 1);
    drop(port.adopted().await);
    assert_eq!(port.upgrade("/ws", "").await.0.status, 101);
}

#[tokio::test]
async fn the_file_limit_bounds_connections_too() {
    let port = Port::with_files("", 513).await;
    let (first, _client) = port.upgrade("/ws", "").await;
    assert_eq!(first.status, 101);
    let (second, _) = port.upgrade("/ws", "").await;
    assert_eq!(second.status, 503);
}

#[tokio::test]
async fn a_rate_is_held_and_told() {
    let port = Port::open("  limits: {connectsPerSecond: 3}\n").await;
    let begun = Instant::now();
    let mut accepted = 0;
    let last = loop {
        let answer = port.upgrade("/ws", "").await.0;
        if answer.status != 101 {
            break answer;
        }
        accepted += 1;
    };
    // One second's worth at once, and what has come since.
    let most = 3.0 + 3.0 * begun.elapsed().as_secs_f64();
    assert!(
        accepted >= 3 && f64::from(accepted) <= most,
        "{accepted}, not {most}"
    );
    assert_eq!(
        (last.status, last.header("connection")),
        (503, Some("close"))
    );
    let seconds: u64 = last.header("retry-after").unwrap().parse().unwrap();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert_eq!(port.upgrade("/ws", "").await.0.status, 101);
}

#[tokio::test]
async fn a_new_configuration_holds_for_the_next_handshake() {
    let port = Port::open("").await;
    let foreign = "Origin: https://app.example\r\n";
    assert_eq!(port.upgrade("/ws", foreign).await.0.status, 403);
    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (plain, _) = port.upgrade("/ws", extension).await;
    assert_eq!(plain.header("sec-websocket-extensions"), None);
    drop(port.adopted().await);

    let listed = "    allowedOrigins: [\"https://app.example\"]\n  \
        transports: {webSocket: {compression: PerMessage}}\n";
    port.public.configure(channel(listed));
    assert_eq!(port.upgrade("/ws", foreign).await.0.status, 101);
    let other = "Origin: https://other.example\r\n";
    assert_eq!(port.upgrade("/ws", other).await.0.status, 403);
    drop(port.adopted().await);
    let (compressed, _client) = port.upgrade("/ws", extension).await;
    let accepted = compressed.header("sec-websocket-extensions").unwrap();
    assert!(accepted.starts_with("permessage-deflate"));
    assert!(port.adopted().await.opening.deflate.is_some());

    port.public
        .configure(channel("    allowedOrigins: [\"*\"]\n"));
    assert_eq!(port.upgrade("/ws", other).await.0.status, 101);
}

#[tokio::test]
async fn a_path_is_before_everything() {
    let port = Port::open("  expose: {path: /chat/v1}\n").await;
    assert_eq!(port.upgrade("/chat/v1/ws", "").await.0.status, 101);
    for path in ["/ws", "/chat/ws", "/chat/v1/ws/", "/chat/v1ws"] {
        assert_eq!(port.upgrade(path, "").await.0.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_handshake_may_follow_other_requests_on_its_connection() {
    let port = Port::open("  console: Enabled\n").await;
    let mut client = port.connect().await;
    assert_eq!(send(&mut client, "GET /", "").await.status, 200);
    assert_eq!(send(&mut client, "GET /ws", "").await.status, 426);
    assert_eq!(send(&mut client, "GET /ws", UPGRADE).await.status, 101);
    port.adopted().await;
}
