//! What a gateway tells a collector: the life of a connection, the way of a message, and nothing that is secret.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::collector::{Manner, Seen};
use linnet_tests::prelude::*;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const DROPPED: &str = "linnet_telemetry_spans_dropped_total";

/// A span is sent at once, or a test would wait for the usual 5 s.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "50");
const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");

/// A channel that traces so many of a million connections.
fn traced(endpoint: &str, rate: u32) -> Manifest {
    let telemetry = json!({"otlpEndpoint": endpoint, "samplingRatePerMillion": rate});
    Manifest::unhurried().spec(json!({ "telemetry": telemetry }))
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
        let gateway = start(&traced(&collector.over_http(), 1_000_000)).await;
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
    });
}

#[test]
fn a_publish_of_a_trusted_client_lives_in_the_client_s_trace_and_links_the_connection() {
    scenario(60, async {
        let collector = Collector::start().await;
        let manifest = trusting(traced(&collector.over_grpc(), 1_000_000));
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
        let manifest = traced(&collector.over_http(), 1_000_000);
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
fn a_refused_handshake_tells_why() {
    scenario(60, async {
        let collector = Collector::start().await;
        let gateway = start(&traced(&collector.over_http(), 1_000_000)).await;
        let mut raw = Raw::tcp(gateway.public).await;
        let answer = raw
            .upgrade("/ws", "Authorization: Bearer expired.or.not\r\n")
            .await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let refused = collector.span("connection", |_| true).await;
        assert_eq!(refused.attribute("error.type"), "invalid_token");
        assert_eq!(refused.attribute("http.response.status_code"), "401");
        assert_eq!(refused.span.status.as_ref().unwrap().code, 2);
    });
}

#[test]
fn drain_and_a_lost_socket_tell_of_themselves_in_the_close() {
    scenario(60, async {
        let collector = Collector::start().await;
        let manifest = traced(&collector.over_http(), 1_000_000);
        let mut gateway = Gateway::start_in(&manifest, &["--drain", "0"], &[SOON]).await;
        let lost = gateway.client().await;
        let mut drained = gateway.client().await;
        lost.cut();
        let reason = |reason: &'static str| {
            move |seen: &Seen| seen.attribute("linnet.close.reason") == reason
        };
        collector.span("close", reason("lost")).await;
        gateway.signal("TERM");
        assert_eq!(drained.closed().await.0, 1012);
        let close = collector.span("close", reason("draining")).await;
        assert!(close.span.status.is_none(), "no failure: {close:?}");
        gateway.exit(20).await;
    });
}

#[test]
fn an_untraced_connection_that_an_error_closes_tells_of_that_alone() {
    scenario(60, async {
        let collector = Collector::start().await;
        let gateway = start(&traced(&collector.over_http(), 0)).await;
        let mut well = gateway.client().await;
        well.subscribe("lobby").await;
        well.ack(publish("lobby")).await;
        well.close().await;
        let mut faulty = Raw::upgraded(gateway.public, "").await;
        faulty.send(&linnet_tests::raw::frame(0x82, b"\x01")).await;
        let close = collector.span("close", |_| true).await;
        assert_eq!(close.attribute("error.type"), "bad_request");
        assert_eq!(close.attribute("linnet.close.code"), "1003");
        assert_eq!(collector.spans().len(), 1, "{:?}", collector.spans());
    });
}

#[test]
fn sampling_changes_on_a_running_gateway_and_the_environment_holds_before_the_manifest() {
    scenario(60, async {
        let collector = Collector::start().await;
        let gateway = start(&traced(&collector.over_http(), 0)).await;
        gateway.client().await.close().await;
        gateway
            .reconfigure(&traced(&collector.over_http(), 1_000_000))
            .await;
        let mut second = gateway.client().await;
        let id = second.id();
        second.settle().await;
        collector.awaited("connection", 1).await;
        let all = collector.named("connection");
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].attribute("linnet.connection.id"), id);

        let other = Collector::start().await;
        let (endpoint, headers) = (other.over_http(), "api-key=%61bc");
        let variables = [
            SOON,
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", headers),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=chat"),
            ("OTEL_SERVICE_NAME", "talk"),
        ];
        let manifest = traced(&collector.over_http(), 0);
        let gateway = Gateway::start_in(&manifest, &[], &variables).await;
        gateway.client().await.settle().await;
        let connection = other.span("connection", |_| true).await;
        assert_eq!(connection.process("service.name"), "talk");
        assert_eq!(connection.process("team"), "chat");
        assert_eq!(other.header("api-key").as_deref(), Some("abc"));
        assert_eq!(other.header("content-encoding").as_deref(), Some("gzip"));
    });
}

#[test]
fn a_collector_that_is_silent_lying_busy_or_away_delays_nobody_and_what_it_misses_is_counted() {
    scenario(120, async {
        for manner in [
            Some(Manner::Silent),
            Some(Manner::Lying),
            Some(Manner::Busy),
            None,
        ] {
            let collector = Collector::mannered(manner.unwrap_or(Manner::Well)).await;
            let endpoint = match manner {
                Some(_) => collector.over_grpc(),
                None => format!("http://127.0.0.1:{}", linnet_tests::ports::lasting()),
            };
            let variables = [
                SOON,
                GRPC,
                ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
            ];
            let manifest = traced(&endpoint, 1_000_000);
            let gateway = Gateway::start_in(&manifest, &[], &variables).await;
            let mut client = gateway.client().await;
            client.subscribe("lobby").await;
            for _ in 0..100 {
                client.ack(publish("lobby")).await;
                client.next_of("message").await;
            }
            if manner.is_some() {
                collector.is_asked().await;
            }
            gateway.metric_reaches(DROPPED, 50.0).await;
        }
    });
}

#[test]
fn connections_that_come_and_go_leave_a_bounded_number_of_spans_and_no_memory_behind() {
    const ROUND: usize = 250;
    scenario(240, async {
        let collector = Collector::start().await;
        let manifest = traced(&collector.over_http(), 1_000_000);
        let variables = [SOON, ("OTEL_BSP_MAX_QUEUE_SIZE", "100000")];
        let gateway = Gateway::start_in(&manifest, &[], &variables).await;
        // A minute in full, seconds where everything else is tested as well.
        let rounds = if std::env::var_os("LINNET_FULL").is_some() {
            120
        } else {
            8
        };
        let mut settled = 0;
        for round in 1..=rounds {
            for _ in 0..ROUND {
                gateway.client().await.close().await;
            }
            collector.awaited("close", round * ROUND).await;
            if round == rounds / 2 {
                settled = gateway.rss();
            }
        }
        let connections = rounds * ROUND;
        assert_eq!(collector.named("connection").len(), connections);
        assert_eq!(collector.named("close").len(), connections);
        assert_eq!(collector.spans().len(), 2 * connections);
        assert_eq!(gateway.metric(DROPPED).await, 0.0);
        let grown = gateway.rss().saturating_sub(settled);
        assert!(grown < 8 << 20, "{grown} bytes more after the second half");
    });
}

#[test]
fn metrics_go_to_the_collector_as_well_and_latency_bears_its_trace() {
    scenario(60, async {
        let collector = Collector::start().await;
        let manifest = traced(&collector.over_grpc(), 1_000_000);
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
        let manifest = traced(&collector.over_http(), 1_000_000)
            .spec(json!({"telemetry": {"logLevel": "trace"}}));
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
