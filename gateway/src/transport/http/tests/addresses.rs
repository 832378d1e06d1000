//! Limits of one address, and proxies that speak for others.

use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Answer, Port, UPGRADE, within};
use crate::transport::http::Reason;

const BEHIND_A_PROXY: &str = "    trustedProxies: [\"127.0.0.0/8\"]\n";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn forwarded(address: &str) -> String {
    format!("X-Forwarded-For: {address}\r\n")
}

/// A header of the PROXY protocol for a client at this address.
fn announced(address: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(address);
    header.extend([10, 0, 0, 1, 0x12, 0x67, 0, 80]);
    header
}

fn handshake() -> Vec<u8> {
    format!("GET /ws HTTP/1.1\r\nHost: chat.example\r\n{UPGRADE}\r\n").into_bytes()
}

#[tokio::test]
async fn an_address_over_its_connections_is_refused_until_one_of_them_ends() {
    let port = Port::open("  limits: {connectionsPerAddress: 1}").await;
    let (answer, _first) = port.upgrade("/ws", "").await;
    assert_eq!(answer.status, 101);
    let first = port.adopted().await;
    let (refused, _) = port.upgrade("/ws", "").await;
    assert_eq!(refused.status, 429, "{}", refused.body);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(port.refused(Reason::AddressFull), 1);
    drop(first);
    assert_eq!(port.upgrade("/ws", "").await.0.status, 101);
}

#[tokio::test]
async fn an_address_that_comes_too_often_is_refused_and_bad_handshakes_count_as_well() {
    let port = Port::open("  limits: {connectsPerSecondPerAddress: 2}").await;
    let evil = "Origin: https://evil.example\r\n";
    assert_eq!(port.upgrade("/ws", evil).await.0.status, 403);
    assert_eq!(port.upgrade("/ws", evil).await.0.status, 403);
    let (refused, _) = port.upgrade("/ws", "").await;
    // A machine that took half a second for two refusals has given the address another one.
    if refused.status != 429 {
        assert_eq!(port.upgrade("/ws", "").await.0.status, 429);
    }
    assert!(port.refused(Reason::AddressRate) >= 1);
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_clients_and_each_has_limits_of_its_own() {
    let spec = format!("{BEHIND_A_PROXY}  limits: {{connectionsPerAddress: 1}}");
    let port = Port::open(&spec).await;
    let (answer, _a) = port.upgrade("/ws", &forwarded("203.0.113.1")).await;
    assert_eq!(answer.status, 101);
    let first = port.adopted().await;
    assert_eq!(first.opening.client, ip("203.0.113.1"));
    let (answer, _b) = port.upgrade("/ws", &forwarded("203.0.113.2")).await;
    assert_eq!(answer.status, 101);
    let _second = port.adopted().await;
    let forged = forwarded("198.51.100.7, 203.0.113.1");
    assert_eq!(
        port.upgrade("/ws", &forged).await.0.status,
        429,
        "what it wrote itself does not count"
    );
}

#[tokio::test]
async fn a_client_that_is_no_trusted_proxy_is_who_it_is() {
    let port = Port::open("    trustedProxies: [\"10.0.0.0/8\"]").await;
    let (answer, _client) = port.upgrade("/ws", &forwarded("203.0.113.1")).await;
    assert_eq!(answer.status, 101);
    assert!(port.adopted().await.opening.client.is_loopback());
}

#[tokio::test]
async fn a_proxys_header_may_come_in_pieces_and_before_a_handshake_or_a_page() {
    let port = Port::open(BEHIND_A_PROXY).await;
    let bytes = [announced([203, 0, 113, 9]), handshake()].concat();
    for cut in [1, 12, 17, 28, 40] {
        let mut stream = port.connect().await;
        let (head, tail) = bytes.split_at(cut);
        stream.set_nodelay(true).unwrap();
        stream.write_all(head).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(tail).await.unwrap();
        assert_eq!(Answer::read(&mut stream).await.status, 101, "{cut}");
        assert_eq!(port.adopted().await.opening.client, ip("203.0.113.9"));
    }
    let mut stream = port.connect().await;
    let announcement = announced([203, 0, 113, 9]);
    let page = [
        announcement.as_slice(),
        b"GET /no HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    stream.write_all(&page.concat()).await.unwrap();
    assert_eq!(Answer::read(&mut stream).await.status, 404);
}

#[tokio::test]
async fn a_proxys_header_is_no_http_where_its_sender_is_not_trusted() {
    let port = Port::open("").await;
    let mut stream = port.connect().await;
    let bytes = [announced([203, 0, 113, 9]), handshake()].concat();
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(Answer::read(&mut stream).await.status, 400);
    assert_eq!(port.refused(Reason::Malformed), 1);
}

#[tokio::test]
async fn a_broken_header_of_a_proxy_ends_the_connection() {
    let port = Port::open(BEHIND_A_PROXY).await;
    let mut stream = port.connect().await;
    let mut broken = announced([203, 0, 113, 9]);
    broken[12] = 0x31; // version 3
    stream.write_all(&broken).await.unwrap();
    let mut rest = Vec::new();
    let _ = within(stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    assert_eq!(port.refused(Reason::Malformed), 1);
}

#[tokio::test]
async fn an_address_that_sends_many_bad_tokens_has_to_wait_and_others_have_not() {
    let port = Port::open(BEHIND_A_PROXY).await;
    let bad = |from: &str| format!("{}Authorization: Bearer x\r\n", forwarded(from));
    let mut refused = 0;
    while port.upgrade("/ws", &bad("203.0.113.1")).await.0.status == 401 {
        refused += 1;
        assert!(refused < 50);
    }
    assert!(refused > 5, "some are free");
    assert!(port.refused(Reason::Backoff) >= 1);
    let (other, _) = port.upgrade("/ws", &bad("203.0.113.2")).await;
    assert_eq!(other.status, 401);
    let (without, _) = port.upgrade("/ws", &forwarded("203.0.113.1")).await;
    assert_eq!(without.status, 101, "who shows no token is not concerned");
}

#[tokio::test]
async fn sockets_of_one_address_that_say_nothing_leave_room_for_others() {
    let port = Port::open("").await;
    let mut silent = Vec::new();
    while port.refused(Reason::AddressWaiting) == 0 {
        silent.push(port.connect().await);
        tokio::task::yield_now().await;
        assert!(silent.len() < 4000);
    }
    assert!(
        port.public.slots.take(0).is_some(),
        "three quarters are left"
    );
}

#[tokio::test]
async fn behind_a_proxy_that_is_not_listed_bad_tokens_make_nobody_wait() {
    let port = Port::open("").await;
    let bad = "Authorization: Bearer x\r\n";
    let through_proxy = format!("{}{bad}", forwarded("203.0.113.1"));
    for _ in 0..40 {
        assert_eq!(port.upgrade("/ws", &through_proxy).await.0.status, 401);
    }
    while port.upgrade("/ws", bad).await.0.status == 401 {}
    assert_eq!(
        port.refused(Reason::Backoff),
        1,
        "who comes without a proxy has to wait"
    );
    assert_eq!(port.upgrade("/ws", &through_proxy).await.0.status, 401);
}
