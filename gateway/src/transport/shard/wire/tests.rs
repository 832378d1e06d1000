use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::pipe::{READY, UNHEARD};
use super::{Ended, NewSocket, Wire, WireFrame};
use crate::broker::nats::Settings;
use crate::broker::nats::health::Health;
use crate::config::Channel;
use crate::handler;
use crate::protocol::{self, Handshake};
use crate::runtime::Gateway;
use crate::transport::address::addresses::Seat;
use crate::transport::shard::Opening;
use crate::transport::shard::connection::Link;
use crate::transport::websocket::reader::Reader;
use crate::transport::{Role, Transport};

/// A channel whose spec has this beside anonymous access, YAML in braces.
fn channel(more: &str) -> Arc<Channel> {
    let manifest = format!(
        "apiVersion: realtime.linnet.dev/v1alpha1\nkind: RealtimeChannel\nmetadata: {{name: tests}}\n\
         spec: {{authentication: {{anonymous: Allow}}, history: {{}}{more}}}\n"
    );
    Arc::new(Channel::compile(&linnet_crds::check(&manifest).unwrap()))
}

/// A whole gateway with the embedded broker, but for its ports.
fn gateway(more: &str) -> Gateway {
    let channel = channel(more);
    let health = Arc::new(Health::new(1));
    let nats = Settings {
        prefix: "tests".into(),
        gateway: "tests".into(),
        secrets: None,
        create_stream: false,
    };
    let names = handler::Names {
        namespace: "tests".into(),
        channel: "tests".into(),
        gateway: "tests".into(),
    };
    let handler = handler::Handle::new(names, None, tokio::runtime::Handle::current());
    let name = "tests".into();
    Gateway::start(channel, &Arc::default(), name, 2, nats, health, handler).unwrap()
}

fn opening(protocol: &str) -> Opening {
    Opening {
        protocol: protocol::find(protocol).unwrap(),
        handshake: Handshake {
            room: (protocol == "plain").then(|| crate::names::RoomName::parse("a").unwrap()),
            echo: true,
        },
        info: None,
        deflate: None,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        seat: Seat::default(),
        caller: None,
        identity: None,
        service: None,
    }
}

fn open(gateway: &Gateway) -> Wire {
    let transport = Transport::ServerSentEvents;
    let wire = gateway
        .shards
        .plug(opening("json"), transport, Role::Client);
    wire.unwrap()
}

async fn within<T>(step: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), step).await.unwrap()
}

async fn next(wire: &mut Wire) -> Value {
    match within(wire.next()).await {
        Some(WireFrame::Text(text)) => serde_json::from_slice(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Sends a request and gives its answer, which comes next.
async fn ask(wire: &mut Wire, mut request: Value) -> Value {
    request["id"] = json!(1);
    within(wire.send_text(request.to_string())).await.unwrap();
    next(wire).await
}

async fn close_of(wire: &mut Wire) -> (u16, Box<str>) {
    loop {
        match within(wire.next()).await {
            Some(WireFrame::Close { code, reason }) => return (code, reason),
            Some(_) => {}
            None => return (1006, "".into()),
        }
    }
}

/// Awaits that so many connections are open.
async fn remain(gateway: &Gateway, count: usize) {
    within(async {
        while gateway.shards.connections() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_wire_is_greeted_and_talks_as_a_socket_does() {
    let gateway = gateway(", limits: {messagesPerSecond: 10000, messageBurst: 10000}");
    let (mut here, mut there) = (open(&gateway), open(&gateway));
    for wire in [&mut here, &mut there] {
        assert_eq!(next(wire).await["type"], "connected");
        let subscribed = ask(wire, json!({"type": "subscribe", "room": "a"})).await;
        assert_eq!(subscribed["type"], "ack");
    }
    for n in 0..200 {
        let publish = json!({"type": "publish", "room": "a", "data": n});
        within(here.send_text(publish.to_string())).await.unwrap();
        for wire in [&mut here, &mut there] {
            let message = next(wire).await;
            assert_eq!(
                (&message["type"], &message["data"]),
                (&json!("message"), &json!(n))
            );
        }
    }
    let sse = Transport::ServerSentEvents as usize;
    let counted = gateway
        .shards
        .iter()
        .map(|shard| shard.metrics().transports[sse].get());
    assert_eq!(counted.sum::<u64>(), 2);
    drop((here, there));
    remain(&gateway, 0).await;
    let counted = gateway
        .shards
        .iter()
        .map(|shard| shard.metrics().transports[sse].get());
    assert_eq!(counted.sum::<u64>(), 0);
}

#[tokio::test]
async fn binary_frames_keep_their_kind_both_ways() {
    let gateway = gateway("");
    let transport = Transport::ServerSentEvents;
    let wire = gateway
        .shards
        .plug(opening("plain"), transport, Role::Client);
    let mut wire = wire.unwrap();
    wire.line().send_binary(vec![0, 255, 1]).await.unwrap();
    wire.send_text("text".into()).await.unwrap();
    assert!(
        matches!(within(wire.next()).await, Some(WireFrame::Binary(bytes)) if *bytes == [0, 255, 1])
    );
    assert!(matches!(within(wire.next()).await, Some(WireFrame::Text(text)) if *text == *b"text"));
}

#[tokio::test]
async fn what_is_sent_before_a_close_is_answered_before_it() {
    let gateway = gateway("");
    let mut wire = open(&gateway);
    next(&mut wire).await;
    let ping = json!({"type": "ping", "id": 1});
    wire.send_text(ping.to_string()).await.unwrap();
    wire.close(1000);
    assert_eq!(next(&mut wire).await["type"], "pong");
    assert_eq!(close_of(&mut wire).await.0, 1000);
    assert!(within(wire.next()).await.is_none(), "and nothing after it");
    within(wire.over().wait()).await;
    assert_eq!(wire.send_text("{}".into()).await, Err(Ended));
}

#[tokio::test]
async fn an_owner_that_takes_nothing_is_closed_at_send_queue_size_and_others_get_everything() {
    let gateway =
        gateway(", limits: {sendQueueSize: 64Ki, messagesPerSecond: 10000, messageBurst: 10000}");
    let (mut stuck, mut publisher) = (open(&gateway), open(&gateway));
    for wire in [&mut stuck, &mut publisher] {
        next(wire).await;
        ask(wire, json!({"type": "subscribe", "room": "a"})).await;
    }
    let text = "x".repeat(4000);
    for n in 0..40 {
        let publish = json!({"type": "publish", "room": "a", "data": [n, text]});
        publisher.send_text(publish.to_string()).await.unwrap();
        assert_eq!(next(&mut publisher).await["data"][0], n);
    }
    within(stuck.over().wait()).await;
    let mut frames = 0;
    let code = loop {
        match within(stuck.next()).await {
            Some(WireFrame::Text(text)) => frames += text.len(),
            Some(WireFrame::Close { code, .. }) => break code,
            Some(WireFrame::Binary(_)) => panic!("no binary frame was sent"),
            None => break 1006, // it did not take the close frame in time
        }
    };
    assert_eq!(code, 1006);
    assert!((READY..2 * READY).contains(&frames), "{frames}");
    drop(stuck);
    remain(&gateway, 1).await;
    within(async {
        while gateway.queue_memory.used() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_owner_that_takes_late_gets_all_in_order_and_once() {
    let gateway = gateway(", limits: {messagesPerSecond: 10000, messageBurst: 10000}");
    let (mut late, mut publisher) = (open(&gateway), open(&gateway));
    next(&mut publisher).await;
    next(&mut late).await;
    ask(&mut late, json!({"type": "subscribe", "room": "a"})).await;
    let text = "x".repeat(1000);
    for n in 0..300 {
        let publish = json!({"type": "publish", "room": "a", "data": [n, text]});
        ask(&mut publisher, publish).await;
    }
    for n in 0..300 {
        assert_eq!(next(&mut late).await["data"][0], n);
    }
    remain(&gateway, 2).await;
}

#[tokio::test]
async fn an_owner_that_leaves_a_little_lying_is_closed_in_time_and_an_idle_one_is_not() {
    let heartbeat = ", heartbeat: {intervalSeconds: 1, timeoutSeconds: 1}";
    let gateway = gateway(heartbeat);
    let (mut idle, forgetful, begun) = (open(&gateway), open(&gateway), Instant::now());
    next(&mut idle).await; // the other leaves its greeting
    within(forgetful.over().wait()).await;
    assert!(
        begun.elapsed() > Duration::from_millis(1800),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        ask(&mut idle, json!({"type": "ping"})).await["type"],
        "pong"
    );
}

#[tokio::test]
async fn an_owner_that_sends_faster_than_is_heard_waits_and_a_flood_is_closed() {
    let gateway = gateway(", limits: {messagesPerSecond: 5, messageBurst: 5}");
    let mut wire = open(&gateway);
    let flood = within(async {
        let mut sent = 0;
        while wire.send_text(format!("not json {sent}")).await.is_ok() {
            sent += 1;
        }
        sent
    })
    .await;
    assert!(flood > UNHEARD);
    assert_eq!(close_of(&mut wire).await, (4101, "rate_limited".into()));
}

#[tokio::test]
async fn a_frame_over_bound_closes_with_1009() {
    let gateway = gateway(", limits: {messageSize: 1Ki}");
    let mut wire = open(&gateway);
    wire.send_text("x".repeat(100_000)).await.unwrap();
    assert_eq!(close_of(&mut wire).await.0, 1009);
}

#[tokio::test]
async fn a_drain_says_goaway_and_closes() {
    let gateway = gateway("");
    let mut wire = open(&gateway);
    next(&mut wire).await;
    gateway.shards.drain(Duration::from_secs(1));
    assert_eq!(next(&mut wire).await["type"], "goaway");
    assert_eq!(close_of(&mut wire).await, (1012, "draining".into()));
    drop(wire);
    remain(&gateway, 0).await;
}

#[tokio::test]
async fn of_a_visitor_nobody_is_told_and_what_it_publishes_is_heard() {
    let gateway = gateway("");
    let mut client = open(&gateway);
    next(&mut client).await;
    ask(&mut client, json!({"type": "subscribe", "room": "a"})).await;
    let transport = Transport::ServerSentEvents;
    let visitor = gateway
        .shards
        .plug(opening("json"), transport, Role::Visitor);
    let mut visitor = visitor.unwrap();
    let publish = json!({"type": "publish", "room": "a", "data": "hi"});
    let ack = ask(&mut visitor, publish).await;
    assert_eq!(ack["type"], "ack", "and no greeting before it");
    assert_eq!(next(&mut client).await["data"], "hi");
}

/// A socket for a shard, and its other end.
async fn pair() -> (std::net::TcpStream, tokio::net::TcpStream) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    (accepted.unwrap().0.into_std().unwrap(), client.unwrap())
}

/// The next frame of a server, which is text of at least 126 bytes.
async fn long_text(socket: &mut tokio::net::TcpStream) -> Value {
    let mut header = [0; 4];
    within(socket.read_exact(&mut header)).await.unwrap();
    assert_eq!(header[..2], [0x81, 126]);
    let length = u16::from_be_bytes([header[2], header[3]]);
    let mut payload = vec![0; usize::from(length)];
    within(socket.read_exact(&mut payload)).await.unwrap();
    serde_json::from_slice(&payload).unwrap()
}

#[tokio::test]
async fn a_connection_goes_on_over_a_socket_with_all_that_was_not_taken() {
    const MESSAGES: usize = 200;
    let gateway = gateway(", limits: {messagesPerSecond: 10000, messageBurst: 10000}");
    let (mut moving, mut publisher) = (open(&gateway), open(&gateway));
    for wire in [&mut moving, &mut publisher] {
        next(wire).await;
        ask(wire, json!({"type": "subscribe", "room": "a"})).await;
    }
    let text = "x".repeat(500);
    let publish = |n: usize| json!({"type": "publish", "room": "a", "data": [n, text]});
    for n in 0..MESSAGES {
        let request = publish(n).to_string();
        publisher.send_text(request).await.unwrap();
        assert_eq!(next(&mut publisher).await["data"][0], n);
    }
    assert_eq!(next(&mut moving).await["data"][0], 0); // of a buffer that may have more
    let (socket, mut client) = pair().await;
    let over = moving.over();
    moving.switch(NewSocket::new(socket, Vec::new(), None));
    within(over.wait()).await;
    publisher
        .send_text(publish(MESSAGES).to_string())
        .await
        .unwrap();
    for n in 1..=MESSAGES {
        assert_eq!(long_text(&mut client).await["data"][0], n);
    }
    let count = |transport: Transport| {
        let shards = gateway.shards.iter();
        let counts = shards.map(|shard| shard.metrics().transports[transport as usize].get());
        counts.sum::<u64>()
    };
    assert_eq!(count(Transport::ServerSentEvents), 1);
    assert_eq!(count(Transport::WebSocket), 1);
    drop(client);
    remain(&gateway, 1).await;
}

#[test]
fn a_connection_is_no_larger_for_it() {
    let before = size_of::<(mio::net::TcpStream, Reader)>();
    assert!(size_of::<Link>() <= before);
}
