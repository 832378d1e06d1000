//! The short way in: which first bytes a shard may answer, which are for HTTP proper, and that nothing is lost between.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};

use super::support::{Answer, Port, UPGRADE, channel, within};
use crate::auth::Keys;
use crate::drain::Phase;
use crate::transport::http::Reason;
use crate::transport::http::caller::Newcomer;
use crate::transport::shard::arrival::{Caller, Heard, Welcome};

fn judge(port: &Port, bytes: &[u8]) -> Heard {
    let slot = port.public.slots.take(0).unwrap();
    let peer = "192.0.2.1:5000".parse().unwrap();
    Newcomer::new(Arc::clone(&port.public), peer, slot).hear(bytes)
}

fn hear(port: &Port, bytes: &[u8]) -> Option<Welcome> {
    match judge(port, bytes) {
        Heard::Welcome(welcome) => Some(*welcome),
        Heard::Refused(answer) => panic!("{:?}", String::from_utf8(answer)),
        Heard::Elsewhere => None,
    }
}

/// A client, and the socket that the port has of it.
async fn pair() -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (server, _) = listener.accept().await.unwrap();
    (client.unwrap(), server.into_std().unwrap())
}

fn request(start: &str, headers: &str) -> String {
    format!("{start}\r\nHost: chat.example\r\n{UPGRADE}{headers}\r\n")
}

const START: &str = "GET /ws?room=lobby HTTP/1.1";

#[tokio::test]
async fn a_whole_handshake_is_answered_as_http_proper_answers_it() {
    let port = Port::open("  transports: {webSocket: {compression: PerMessage}}").await;
    let offer = "Sec-WebSocket-Protocol: linnet.v1.plain\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";
    let bytes = [request(START, offer).as_bytes(), b"frames"].concat();
    let welcome = hear(&port, &bytes).unwrap();
    assert_eq!(&bytes[welcome.length..], b"frames");
    assert_eq!(welcome.opening.protocol, 1);
    assert_eq!(
        welcome.opening.handshake.room.as_ref().unwrap().as_str(),
        "lobby"
    );
    assert!(welcome.opening.deflate.is_some());

    let (long, _client) = port.upgrade("/ws?room=lobby", offer).await;
    let short = String::from_utf8(welcome.response).unwrap();
    let mut lines = short.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
    assert_eq!(lines.next(), Some("HTTP/1.1 101 Switching Protocols"));
    let mut fields = 0;
    for (name, value) in lines.map(|line| line.split_once(": ").unwrap()) {
        assert_eq!(long.header(name), Some(value), "{name}");
        fields += 1;
    }
    assert_eq!(fields, 5);
}

#[tokio::test]
async fn a_place_is_held_until_the_newcomer_is_gone() {
    let port = Port::open("").await;
    let slot = port.public.slots.take(0).unwrap();
    let peer = "192.0.2.1:5000".parse().unwrap();
    let mut newcomer = Newcomer::new(Arc::clone(&port.public), peer, slot);
    let verdict = newcomer.hear(request(START, "").as_bytes());
    assert!(matches!(verdict, Heard::Welcome(_)));
    assert_eq!(port.public.connections(), 1);
    drop(newcomer);
    assert_eq!(port.public.connections(), 0);
}

#[tokio::test]
async fn whatever_is_no_whole_handshake_is_for_http_proper_and_counts_nowhere() {
    let port = Port::open("").await;
    let whole = request(START, "");
    for length in [0, 1, 20, whole.len() - 1] {
        assert!(hear(&port, &whole.as_bytes()[..length]).is_none());
    }
    let padding = format!("X-Padding: {}\r\n", "x".repeat(17_000));
    let many = "X-Field: 1\r\n".repeat(70);
    let others = [
        request("POST /ws HTTP/1.1", ""),
        request("GET /ws HTTP/1.0", ""),
        request("GET / HTTP/1.1", ""),
        request("GET http://[ HTTP/1.1", ""),
        request(START, "Content-Length: 5\r\n"),
        request(START, "Transfer-Encoding: chunked\r\n"),
        request(START, &padding),
        request(START, &many),
        "\u{16}\u{3}\u{1}a TLS greeting\r\n\r\n".to_owned(),
    ];
    for other in others {
        assert!(hear(&port, other.as_bytes()).is_none(), "{other}");
    }
    assert_eq!(port.public.connections(), 0);
}

#[tokio::test]
async fn a_whole_handshake_that_is_refused_is_answered_as_http_proper_answers_it_and_counts_once() {
    let port = Port::open("").await;
    let cases = [
        (Reason::Subprotocol, "Sec-WebSocket-Protocol: chat\r\n"),
        (Reason::Origin, "Origin: https://elsewhere.example\r\n"),
        (Reason::InvalidToken, "Authorization: Bearer a.b.c\r\n"),
        (Reason::Draining, ""),
    ];
    for (reason, header) in cases {
        if reason == Reason::Draining {
            port.lifecycle.enter(Phase::Draining);
        }
        let before = port.refused(reason);
        let Heard::Refused(short) = judge(&port, request(START, header).as_bytes()) else {
            panic!("{reason:?}: not refused");
        };
        assert_eq!(port.refused(reason), before + 1, "{reason:?}");
        let (long, _client) = port.upgrade("/ws?room=lobby", header).await;
        let short = Answer::read(&mut short.as_slice()).await;
        assert_eq!((short.status, &short.body), (long.status, &long.body));
        for name in [
            "content-type",
            "content-length",
            "www-authenticate",
            "retry-after",
        ] {
            assert_eq!(short.header(name), long.header(name), "{reason:?}: {name}");
        }
        assert_eq!(short.header("connection"), Some("close"));
        assert!(short.header("date").is_some());
    }
    assert_eq!(port.public.connections(), 0);
}

#[tokio::test]
async fn what_a_trusted_proxy_says_of_its_client_is_taken_off_and_believed() {
    let port = Port::open("    trustedProxies: [\"192.0.2.0/24\"]\n").await;
    let mut announced = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    announced.extend([203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x67, 0, 80]);
    let handshake = request(START, "");
    let bytes = [&announced, handshake.as_bytes(), b"frames"].concat();
    let welcome = hear(&port, &bytes).unwrap();
    assert_eq!(&bytes[welcome.length..], b"frames");
    assert_eq!(welcome.opening.client.to_string(), "203.0.113.9");

    let forwarded = request(START, "X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n");
    let welcome = hear(&port, forwarded.as_bytes()).unwrap();
    assert_eq!(welcome.opening.client.to_string(), "203.0.113.7");

    for cut in [5, announced.len() - 1] {
        assert!(
            hear(&port, &announced[..cut]).is_none(),
            "HTTP proper waits for the rest"
        );
    }
    let untrusting = Port::open("").await;
    assert!(hear(&untrusting, &bytes).is_none());
    let welcome = hear(&untrusting, forwarded.as_bytes()).unwrap();
    assert_eq!(welcome.opening.client.to_string(), "192.0.2.1");
}

#[tokio::test]
async fn a_handshake_whose_key_is_being_fetched_counts_once() {
    // It answers nobody, until it hangs up.
    let issuer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/keys", issuer.local_addr().unwrap());
    let spec = format!(
        "    jwt: {{jwksUri: \"{uri}\"}}\n  limits: {{connectsPerSecond: 1, connectsPerSecondPerAddress: 1}}"
    );
    let port = Port::open(&spec).await;
    let keys = Keys::new(
        Arc::clone(&port.tokens),
        None,
        tokio::runtime::Handle::current(),
    );
    keys.configure(channel(&spec).tokens.as_ref());

    let token = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.e30.AAAA"; // ES256, kid a
    let handshake = request(START, &format!("Authorization: Bearer {token}\r\n"));
    let (mut client, socket) = pair().await;
    let slot = port.public.slots.take(0).unwrap();
    let peer = client.local_addr().unwrap();
    let mut newcomer = Box::new(Newcomer::new(Arc::clone(&port.public), peer, slot));
    let verdict = newcomer.hear(handshake.as_bytes());
    assert!(matches!(verdict, Heard::Elsewhere));
    assert_eq!(port.public.connections(), 1, "it has its place");
    newcomer.pass_on(socket, handshake.as_bytes());

    drop(within(issuer.accept()).await.unwrap());
    drop(issuer);
    let answer = Answer::read(&mut client).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.starts_with("keys_unavailable"), "{answer:?}");
    for reason in [Reason::Rate, Reason::AddressRate] {
        assert_eq!(port.refused(reason), 0, "{reason:?}");
    }
}

#[tokio::test]
async fn frames_that_come_with_a_handshake_for_http_proper_are_all_handed_on() {
    let port = Port::open("").await;
    let (mut client, socket) = pair().await;
    let frames: Vec<u8> = (0..50_000_u32).map(|n| n as u8).collect();
    let heard = [request(START, "").as_bytes(), &frames].concat();
    let slot = port.public.slots.take(0).unwrap();
    let peer = client.local_addr().unwrap();
    Box::new(Newcomer::new(Arc::clone(&port.public), peer, slot)).pass_on(socket, &heard);
    assert_eq!(Answer::read(&mut client).await.status, 101);
    let early = port.adopted().await.early;
    assert_eq!(early.len(), frames.len());
    assert!(early == frames, "in order");
}
