//! Gateways of the tests' own on loopback.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use super::{Missing, Reading, Target, poll, thin};

const STATUS: &str = r#"{"name":"chat-0","version":"0.1.0","connections":312,"draining":false,
    "configHash":"0f3a9c41d7e2b865","configError":null,"added":{"later":1}}"#;

/// A server that gives each who comes `answer`, and keeps the connection open.
async fn serve(answer: String) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = [0; 1024];
            let _ = stream.read(&mut heard).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            open.push(stream);
        }
    });
    port
}

fn http(body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

async fn ask(pod: &str, port: u16, limit: Duration) -> Result<Reading, Missing> {
    let target = Target {
        pod: pod.into(),
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
    };
    poll(vec![target], port, limit).await.remove(pod).unwrap()
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_gateways_status_is_read_and_what_a_newer_one_adds_is_passed_over() {
    let port = serve(http(STATUS)).await;
    let reading = ask("chat-0", port, LONG).await.unwrap();
    assert_eq!(reading.connections, 312);
    assert_eq!(reading.moving, 0, "an older one does not say");
    assert_eq!(reading.config_hash, "0f3a9c41d7e2b865");
    assert_eq!(reading.config_error, None);
    assert_eq!(reading.version, "0.1.0");
}

#[tokio::test]
async fn an_answer_at_an_address_that_is_anothers_by_now_does_not_count() {
    let port = serve(http(STATUS)).await;
    let answer = ask("chat-1", port, LONG).await;
    assert_eq!(answer, Err(Missing::AnotherPod("chat-0".into())));
}

#[tokio::test]
async fn one_that_is_silent_costs_the_others_nothing() {
    let port = serve(http(STATUS)).await;
    let silent = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port))
        .await
        .unwrap();
    let target = |pod: &str, address| Target {
        pod: pod.into(),
        address,
    };
    let targets = vec![
        target("chat-0", Some(IpAddr::V4(Ipv4Addr::LOCALHOST))),
        target("chat-1", Some(silent.local_addr().unwrap().ip())),
        target("chat-2", None),
    ];
    let limit = Duration::from_secs(5);
    let readings = poll(targets, port, limit).await;
    assert!(readings["chat-0"].is_ok());
    assert_eq!(readings["chat-1"], Err(Missing::TimedOut));
    assert_eq!(readings["chat-2"], Err(Missing::NoAddress));
}

#[tokio::test]
async fn what_is_no_status_is_said_to_be_none() {
    let hostile = [
        http("[]"),
        http("{\"name\":\"chat-0\"}"),
        http(&"x".repeat(300_000)),
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".into(),
    ];
    for answer in hostile {
        let port = serve(answer.clone()).await;
        let said = ask("chat-0", port, LONG).await;
        assert!(matches!(said, Err(Missing::Malformed(_))), "{said:?}");
    }
    let port = serve("SSH-2.0-OpenSSH_9.2\r\n".into()).await;
    let said = ask("chat-0", port, LONG).await;
    assert!(matches!(said, Err(Missing::Unreachable(_))), "{said:?}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    // It is taken, so that nobody else comes to listen there, but does not listen.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let said = ask("chat-0", port, LONG).await;
    assert!(matches!(said, Err(Missing::Unreachable(_))), "{said:?}");
}

#[tokio::test]
async fn a_gateway_is_asked_to_make_room_in_json() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"}") {
            stream.read_buf(&mut heard).await.unwrap();
        }
        let answer = http(r#"{"connections":9,"moving":4}"#);
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(heard).unwrap()
    });
    thin(address, 5, 30).await.unwrap();
    let heard = gateway.await.unwrap();
    assert!(heard.starts_with("POST /rebalance HTTP/1.1\r\n"), "{heard}");
    assert!(
        heard.contains("content-type: application/json\r\n"),
        "{heard}"
    );
    assert!(
        heard.ends_with(r#"{"keep":5,"windowSeconds":30}"#),
        "{heard}"
    );
}

#[tokio::test]
async fn a_gateway_that_does_not_know_how_to_make_room_says_so() {
    let older = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let port = serve(older.into()).await;
    let said = thin((Ipv4Addr::LOCALHOST, port).into(), 5, 30).await;
    assert!(matches!(said, Err(Missing::Malformed(_))), "{said:?}");
}
