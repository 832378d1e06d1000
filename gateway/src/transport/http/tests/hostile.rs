//! Clients that never get to the point.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{Answer, Port, UPGRADE, send, within};
use crate::transport::http::Reason;

#[tokio::test]
async fn headers_over_their_bound_are_answered_although_the_client_still_sends() {
    let port = Port::open("").await;
    let mut client = port.connect().await;
    let padding = "x".repeat(100_000);
    let request = format!("GET /ws HTTP/1.1\r\nX-Padding: {padding}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(Answer::read(&mut client).await.status, 431);
    let mut rest = Vec::new();
    within(client.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(port.refused(Reason::Malformed), 1);
}

#[tokio::test]
async fn headers_under_their_bound_are_read() {
    let port = Port::open("").await;
    let padding = format!("X-Padding: {}\r\n", "x".repeat(15_000));
    assert_eq!(port.upgrade("/ws", &padding).await.0.status, 101);
}

#[tokio::test]
async fn what_is_not_http_is_let_go() {
    let port = Port::open("").await;
    for garbage in [
        "\u{16}\u{3}\u{1}a TLS greeting\r\n\r\n",
        "GET\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = port.connect().await;
        client.write_all(garbage.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(client.read_to_string(&mut answer)).await.unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    assert_eq!(port.refused(Reason::Malformed), 3);
}

#[tokio::test]
async fn headers_have_ten_seconds_however_they_drip_and_silence_does_too() {
    let port = Port::open("").await;
    let start = Instant::now();
    let mut silent = port.connect().await;
    let mut dripping = port.connect().await;
    dripping.write_all(b"GET /ws HTTP/1.1\r\n").await.unwrap();
    let mut buffer = [0; 64];
    loop {
        let pause = Duration::from_millis(500);
        match tokio::time::timeout(pause, dripping.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(_)) => panic!("nothing was asked"),
            Err(_) => {
                let _ = dripping.write_all(b"X-A: b\r\n").await;
            }
        }
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    assert!(matches!(within(silent.read(&mut buffer)).await, Ok(0)));
    assert!(start.elapsed() >= Duration::from_secs(9));
    assert_eq!(port.refused(Reason::Timeout), 2);
}

#[tokio::test]
async fn a_kept_connection_that_ends_is_no_refusal() {
    let port = Port::open("").await;
    let mut client = port.connect().await;
    assert_eq!(send(&mut client, "GET /", "").await.status, 404);
    let mut rest = Vec::new();
    within(client.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(port.refused(Reason::Timeout), 0);
    drop(port.connect().await);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_gives_its_place_back() {
    let port = Port::open("").await;
    for _ in 0..10 {
        let mut client = port.connect().await;
        let half = &UPGRADE[..40];
        let request = format!("GET /ws HTTP/1.1\r\nHost: x\r\n{half}");
        client.write_all(request.as_bytes()).await.unwrap();
    }
    assert_eq!(port.upgrade("/ws", "").await.0.status, 101);
    drop(port.adopted().await);
    assert_eq!(port.public.connections(), 0);
}

#[tokio::test]
async fn hundreds_of_silent_clients_hold_nobody_up() {
    let port = Port::open("").await;
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(port.connect().await);
    }
    let start = Instant::now();
    assert_eq!(port.upgrade("/ws", "").await.0.status, 101);
    assert!(start.elapsed() < Duration::from_secs(8)); // they are let go after ten
}
