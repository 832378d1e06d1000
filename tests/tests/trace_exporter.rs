//! Where traces go and how many: by manifest and environment, whatever the collector or the settings are like.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::collector::{GRPC, Manner, SOON, Seen};
use linnet_tests::prelude::*;

const DROPPED: &str = "linnet_telemetry_spans_dropped_total";

/// A channel that traces so many of a million connections.
fn traced(endpoint: &str, rate: u32) -> Manifest {
    Manifest::unhurried().traced(endpoint, rate)
}

#[test]
fn sampling_changes_on_a_running_gateway_and_the_environment_holds_before_the_manifest() {
    scenario(60, async {
        let collector = Collector::start().await;
        let gateway = Gateway::start_in(&traced(&collector.over_http(), 0), &[], &[SOON]).await;
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
                client.publish("lobby", json!(1)).await;
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
fn settings_that_can_t_be_used_are_told_without_their_secrets_and_the_gateway_serves() {
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const BAD: [(&[(&str, &str)], &str); 8] = [
        (&[(ENDPOINT, "http://me:MARKED@a collector")], "ERROR"),
        (&[(ENDPOINT, "://me:MARKED@collector"), GRPC], "ERROR"),
        (&[(HEADERS, "api key=MARKED")], "ERROR"),
        (&[(HEADERS, "api-key=MARKED%0Amore: yes"), GRPC], "ERROR"),
        (&[(HEADERS, "MARKED")], "WARN"),
        (
            &[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/not/there.pem")],
            "ERROR",
        ),
        (&[(PROTOCOL, "carrier-pigeon")], "WARN"),
        (&[("OTEL_BSP_MAX_QUEUE_SIZE", "-1")], "WARN"),
    ];
    scenario(120, async {
        let collector = Collector::start().await;
        let manifest = traced(&collector.over_http(), 1_000_000);
        for (bad, level) in BAD {
            let mut variables = vec![SOON];
            variables.extend(bad);
            let gateway = Gateway::start_in(&manifest, &[], &variables).await;
            let found = gateway.logged("what is wrong", |line| {
                let text = line.to_string();
                let told = text.contains("OTEL_") || text.contains("collector");
                (line["level"] == level && told).then(|| text.clone())
            });
            found.await;
            let mut client = gateway.client().await;
            client.subscribe("lobby").await;
            client.publish("lobby", json!(1)).await;
            client.next_of("message").await;
            assert_eq!(gateway.get("/metrics").await.status, 200);
            let log = gateway.log().join("\n");
            assert!(!log.contains("MARKED"), "{log}");
            if level == "WARN" {
                let id = client.id();
                let of = |seen: &Seen| seen.attribute("linnet.connection.id") == id;
                collector.span("connection", of).await;
            }
        }
    });
}
