//! One message is one connected picture, over two gateways and NATS.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::Worker;
use linnet_tests::collector::Seen;
use linnet_tests::prelude::*;
use linnet_tests::work;

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Two gateways of a channel whose clients' traces are trusted.
async fn gateways(manifest: Manifest, collector: &Collector) -> [Gateway; 2] {
    let telemetry = json!({
        "otlpEndpoint": collector.over_grpc(),
        "samplingRatePerMillion": 1_000_000,
        "trustClientTraces": "Allow",
    });
    let manifest = manifest.spec(json!({ "telemetry": telemetry }));
    let variables = [
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ];
    let start = |name| Gateway::start_in(&manifest, name, &variables);
    let both = [
        start(&["--create-stream", "--name", "g0"]).await,
        start(&["--create-stream", "--name", "g1"]).await,
    ];
    for gateway in &both {
        gateway.ready().await;
    }
    both
}

fn publish(room: &str) -> Value {
    json!({"type": "publish", "room": room, "data": 1, "traceparent": CALLER})
}

fn is_callers(seen: &Seen) -> bool {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let (trace, parent) = (hex(&seen.span.trace_id), hex(&seen.span.parent_span_id));
    CALLER == format!("00-{trace}-{parent}-01")
}

/// The publish in the caller's trace, and a fan-out of it on each gateway.
async fn is_one_picture(collector: &Collector, room: &str) -> Seen {
    let publish = collector.span("publish", is_callers).await;
    for name in ["g0", "g1"] {
        let of = |seen: &Seen| seen.process("service.instance.id") == name && seen.is_in(&publish);
        let fan_out = collector.span("fan-out", of).await;
        assert_eq!(fan_out.links(), [publish.id()], "{fan_out:?}");
        assert_eq!(fan_out.attribute("messaging.destination.name"), room);
        assert_eq!(fan_out.attribute("linnet.fan_out.connections"), "1");
    }
    publish
}

#[test]
fn a_message_is_followed_from_its_publisher_s_trace_to_both_gateways_with_history_and_without() {
    scenario(120, async {
        for history in [false, true] {
            let server = NatsServer::jetstream().await;
            let collector = Collector::start().await;
            let manifest = Manifest::unhurried().nats(&[server.url()]);
            let manifest = if history {
                manifest.history(100)
            } else {
                manifest
            };
            let [here, there] = gateways(manifest, &collector).await;
            let (mut one, mut other) = (here.client().await, there.client().await);
            one.subscribe("lobby").await;
            other.subscribe("lobby").await;
            one.ack(publish("lobby")).await;
            one.next_of("message").await;
            other.next_of("message").await;
            let publish = is_one_picture(&collector, "lobby").await;
            assert_eq!(
                publish.attribute("linnet.message.offset").is_empty(),
                !history
            );
            assert_eq!(publish.attribute("linnet.connection.id"), one.id());
        }
    });
}

#[test]
fn a_worker_hands_the_trace_on() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let collector = Collector::start().await;
        let [here, there] = gateways(work::manifest(&server), &collector).await;
        let (mut one, mut other) = (here.client().await, there.client().await);
        one.subscribe("work.a").await;
        other.subscribe("work.a").await;
        let _worker = Worker::start(&server, "w").await;
        one.ack(publish("work.a")).await;
        assert_eq!(one.next_of("message").await["data"], json!([1, "w"]));
        other.next_of("message").await;
        is_one_picture(&collector, "work.a").await;
    });
}

#[test]
fn a_resume_is_linked_to_the_publishes_that_it_brings() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let collector = Collector::start().await;
        let manifest = Manifest::unhurried().nats(&[server.url()]).history(100);
        let [here, there] = gateways(manifest, &collector).await;
        let mut one = here.client().await;
        let mut witness = there.client().await;
        witness.subscribe("lobby").await;
        let ack = one.subscribe("lobby").await;
        let since = json!({"epoch": ack["epoch"], "offset": ack["offset"]});
        one.ack(publish("lobby")).await;
        let publish = collector.span("publish", is_callers).await;
        witness.next_of("message").await; // so the other gateway has it
        let mut other = there.client().await;
        let request = json!({"type": "subscribe", "room": "lobby", "since": since});
        let ack = other.ack(request).await;
        assert_eq!(ack["messages"].as_array().map(Vec::len), Some(1), "{ack}");
        let resume = collector.span("resume", |_| true).await;
        assert_eq!(resume.attribute("linnet.resume.recovered"), "true");
        assert_eq!(resume.attribute("linnet.resume.messages"), "1");
        assert_eq!(resume.links(), [publish.id()]);
        assert_eq!(resume.process("service.instance.id"), "g1");
    });
}
