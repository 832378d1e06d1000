//! What a gateway tells a collector: the life of a connection, the way of a message, and nothing that is secret.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::api::{Api, KEY};
use linnet_tests::collector::{GRPC, SOON, Seen};
use linnet_tests::issuer::{SECRET, Secrets};
use linnet_tests::prelude::*;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A channel that traces all connections.
fn traced(endpoint: &str) -> Manifest {
    Manifest::unhurried().traced(endpoint, 1_000_000)
}

fn trusting(manifest: Manifest) -> Manifest {
    manifest.spec(json!({"telemetry": {"trustClientTraces": "Allow"}}))
}

async fn start(manifest: &Manifest) -> Gateway {
    Gateway::start_in(manifest, &["--name", "g0"], &[SOON]).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn caller() -> (Vec<u8>, Vec<u8>) {
    let bytes = |text: &str| -> Vec<u8> {
        let digits = (0..text.len()).step_by(2);
        digits
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    (bytes(&CALLER[3..35]), bytes(&CALLER[36..52]))
}

fn publish(room: &str) -> Value {
    json!({"type": "publish", "room": room, "data": 1, "traceparent": CALLER})
}

#[test]
fn a_connection_s_life_is_readable_from_its_trace() {
    scenario(60, async {
        let collector = Collector::start().await;
        let gateway = start(&traced(&collector.over_http())).await;
        let mut client = gateway.client().await;
        let id = client.id();
        client.subscribe("lobby").await;
        client.ack(publish("lobby")).await;
        client.next_of("message").await;
        client.close().await;
        let close = collector.span("close", |_| true).await;
        let fan_out = collector.span("fan-out", |_| true).await;
        let one = |name: &str| -> Seen {
            let mut named = collector.named(name);
            assert_eq!(named.len(), 1, "{name}: {named:?}");
            named.remove(0)
        };
        let (connection, subscribe, publish) =
            (one("connection"), one("subscribe"), one("publish"));
        assert_eq!(connection.span.parent_span_id, Vec::<u8>::new());
        for part in [&subscribe, &publish, &close] {
            assert!(part.is_in(&connection), "{part:?}");
        }
        for part in [&connection, &subscribe, &publish, &close] {
            assert_eq!(part.attribute("linnet.connection.id"), id, "{part:?}");
            assert_eq!(part.process("service.instance.id"), "g0");
            assert_eq!(part.process("service.name"), "linnet-gateway");
            assert_eq!(part.process("linnet.channel"), "tests");
            assert!(part.span.start_time_unix_nano <= part.span.end_time_unix_nano);
        }
        // A client's own trace is linked, and nothing of it is taken over.
        assert_eq!(publish.links(), [caller()]);
        assert_ne!(publish.span.trace_id, caller().0);
        assert!(fan_out.is_in(&publish), "{fan_out:?}");
        assert_eq!(fan_out.links(), [publish.id()]);
        for part in [&subscribe, &publish, &fan_out] {
            assert_eq!(part.attribute("messaging.destination.name"), "lobby");
        }
        assert_eq!(fan_out.attribute("linnet.fan_out.connections"), "1");
        assert_eq!(fan_out.attribute("messaging.batch.message_count"), "1");
        assert_eq!(connection.attribute("client.address"), "127.0.0.1");
        assert_eq!(close.attribute("linnet.close.reason"), "client");
        assert_eq!(close.attribute("linnet.connection.messages_received"), "1");
        assert_eq!(close.attribute("linnet.connection.messages_delivered"), "1");
        let sent = close.attribute("linnet.connection.bytes_sent");
        assert!(
            sent.parse::<u64>().unwrap() > 300,
            "greeting and acks too: {sent}"
        );
    });
}

#[test]
fn a_publish_of_a_trusted_client_lives_in_the_client_s_trace_and_links_the_connection() {
    scenario(60, async {
        let collector = Collector::start().await;
        let manifest = trusting(traced(&collector.over_grpc()));
        let gateway = Gateway::start_in(&manifest, &[], &[SOON, GRPC]).await;
        let mut client = gateway.client().await;
        client.ack(publish("lobby")).await;
        let publish = collector.span("publish", |_| true).await;
        let connection = collector.span("connection", |_| true).await;
        assert_eq!(
            (
                publish.span.trace_id.clone(),
                publish.span.parent_span_id.clone()
            ),
            caller()
        );
        assert_eq!(publish.links(), [connection.id()]);
    });
}

#[test]
fn a_trusted_handshake_is_part_of_the_client_s_trace_and_another_s_is_linked() {
    scenario(60, async {
        let collector = Collector::start().await;
        let header = format!("traceparent: {CALLER}\r\n");
        let manifest = traced(&collector.over_http());
        let gateway = start(&manifest).await;
        let mut raw = Raw::tcp(gateway.public).await;
        assert_eq!(raw.upgrade("/ws", &header).await.status, 101);
        let connection = collector.span("connection", |_| true).await;
        assert_eq!(connection.links(), [caller()]);
        gateway.reconfigure(&trusting(manifest)).await;
        let mut raw = Raw::tcp(gateway.public).await;
        assert_eq!(raw.upgrade("/ws", &header).await.status, 101);
        let part = |seen: &Seen| {
            (seen.span.trace_id.clone(), seen.span.parent_span_id.clone()) == caller()
        };
        collector.span("connection", part).await;
    });
}

#[test]
fn what_a_publisher_asked_to_be_left_out_of_is_not_counted_as_delivered_to_it() {
    scenario(60, async {
        let collector = Collector::start().await;
        let gateway = start(&traced(&collector.over_http())).await;
        let (mut ann, mut bob) = (gateway.client().await, gateway.client().await);
        ann.subscribe("lobby").await;
        bob.subscribe("lobby").await;
        let quiet = json!({"type": "publish", "room": "lobby", "data": 1, "echo": false});
        ann.ack(quiet).await;
        bob.next_of("message").await;
        let fan_out = collector.span("fan-out", |_| true).await;
        assert_eq!(fan_out.attribute("linnet.fan_out.connections"), "1");
        bob.publish("lobby", json!(2)).await;
        assert_eq!(ann.next_of("message").await["data"], 2);
        bob.next_of("message").await;
        let ids = [ann.id(), bob.id()];
        ann.close().await;
        bob.close().await;
        for (id, delivered) in ids.iter().zip(["1", "2"]) {
            let of = |seen: &Seen| seen.attribute("linnet.connection.id") == *id;
            let close = collector.span("close", of).await;
            let attribute = "linnet.connection.messages_delivered";
            assert_eq!(close.attribute(attribute), delivered, "{close:?}");
        }
        let delivered = gateway.metric("linnet_messages_delivered_total").await;
        assert_eq!(delivered, 3.0);
        let timed = gateway.metric("linnet_delivery_latency_seconds_count");
        assert_eq!(timed.await, 3.0);
    });
}

#[test]
fn metrics_go_to_the_collector_as_well_and_latency_bears_its_trace() {
    scenario(60, async {
        let collector = Collector::start().await;
        let manifest = traced(&collector.over_grpc());
        let often = ("OTEL_METRIC_EXPORT_INTERVAL", "100");
        let gateway = Gateway::start_in(&manifest, &[], &[SOON, GRPC, often]).await;
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        client.ack(publish("lobby")).await;
        client.next_of("message").await;
        let sent = collector.metric("linnet_delivery_latency_seconds").await;
        assert_eq!(sent.unit, "s");
        collector.metric("linnet_messages_received_total").await;
        let fan_out = collector.span("fan-out", |_| true).await;
        let exemplar = format!("# {{trace_id=\"{}\"}}", hex(&fan_out.span.trace_id));
        let page = gateway.get("/metrics").await.body;
        assert!(page.contains(&exemplar), "{page}");
    });
}

#[test]
fn tokens_and_payloads_are_in_no_span_metric_or_log_line() {
    const TOKEN: &str = "eyJtoken-MARKED-1";
    const PAYLOAD: &str = "payload-MARKED-2";
    scenario(60, async {
        let collector = Collector::start().await;
        let often = ("OTEL_METRIC_EXPORT_INTERVAL", "50");
        let manifest =
            traced(&collector.over_http()).spec(json!({"telemetry": {"logLevel": "trace"}}));
        let gateway = Gateway::start_in(&manifest, &[], &[SOON, often]).await;
        for headers in [
            format!("Authorization: Bearer {TOKEN}\r\n"),
            format!("Sec-WebSocket-Protocol: linnet.v1.json, bearer.{TOKEN}\r\n"),
        ] {
            let mut raw = Raw::tcp(gateway.public).await;
            assert_ne!(raw.upgrade("/ws", &headers).await.status, 101);
        }
        let mut raw = Raw::tcp(gateway.public).await;
        raw.upgrade(&format!("/ws?token={TOKEN}"), "").await;
        let mut client = gateway.client_with(&format!("name={PAYLOAD}")).await;
        let connect = json!({"type": "connect", "token": TOKEN, "info": {"a": PAYLOAD}});
        client.refused(connect, "invalid_token").await;
        client.subscribe("lobby").await;
        client.publish("lobby", json!(PAYLOAD)).await;
        client.next_of("message").await;
        let sent = json!({"type": "send", "to": client.id(), "data": PAYLOAD});
        client.ack(sent).await;
        client.next_of("direct").await;
        client
            .send_text(format!("{{\"type\":\"{PAYLOAD}\",\"token\":\"{TOKEN}\","))
            .await;
        client.settle().await;
        client.close().await;
        collector.awaited("close", 1).await;
        collector.metric("linnet_connections").await;
        let (log, page) = (gateway.log().join("\n"), gateway.get("/metrics").await.body);
        assert!(log.lines().count() > 3, "the level is trace:\n{log}");
        for secret in ["MARKED-1", "MARKED-2"] {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
            assert!(!page.contains(secret), "{secret} is in the metrics");
            assert!(!collector.saw(secret), "{secret} went to the collector");
        }
    });
}

#[test]
fn a_services_trace_is_the_parent_of_its_publish_and_what_its_message_says_holds_before_the_header()
{
    scenario(60, async {
        let collector = Collector::start().await;
        let secrets = Secrets::of(&[]);
        secrets.put("api.test", KEY);
        let manifest = Manifest::unhurried()
            .traced(&collector.over_http(), 0)
            .spec(json!({"authentication": {"apiKeySecretName": SECRET}}));
        let args = ["--name", "g0", "--secrets", secrets.path()];
        let gateway = Gateway::start_in(&manifest, &args, &[SOON]).await;
        let api = Api::of(&gateway);
        let header = format!("traceparent: {CALLER}\r\n");
        let body = json!({"room": "lobby", "data": 1}).to_string();
        assert_eq!(api.post_with("/publish", &header, &body).await.status, 200);
        let publish = collector.span("publish", |_| true).await;
        assert_eq!(publish.span.trace_id, caller().0);
        assert_eq!(publish.span.parent_span_id, caller().1);
        assert!(publish.links().is_empty());
        let other = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203332-01";
        let body = json!({"room": "own", "data": 1, "traceparent": other}).to_string();
        assert_eq!(api.post_with("/publish", &header, &body).await.status, 200);
        let publish = collector
            .span("publish", |span| {
                span.attribute("messaging.destination.name") == "own"
            })
            .await;
        assert_eq!(hex(&publish.span.trace_id), other[3..35]);
    });
}
