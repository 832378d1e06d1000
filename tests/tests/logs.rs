//! What the log says of connections, and how often.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::collector::SOON;
use linnet_tests::prelude::*;
use linnet_tests::raw::{frame, op};

const CLOSED: &str = "connection closed by the gateway";

fn levelled(manifest: Manifest, level: &str) -> Manifest {
    manifest.spec(json!({"telemetry": {"logLevel": level}}))
}

/// The lines so far, as objects.
fn lines(gateway: &Gateway) -> Vec<Value> {
    let lines = gateway.log();
    let lines = lines.iter().map(|line| serde_json::from_str(line));
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn each_line_about_a_traced_connection_has_its_trace_and_others_have_none() {
    scenario(60, async {
        let collector = Collector::start().await;
        let manifest = levelled(Manifest::unhurried(), "debug");
        let traced = manifest.clone().traced(&collector.over_http(), 1_000_000);
        let gateway = Gateway::start_in(&traced, &[], &[SOON]).await;
        for rate in [1_000_000, 0] {
            if rate == 0 {
                let untraced = manifest.clone().traced(&collector.over_http(), 0);
                gateway.reconfigure(&untraced).await;
            }
            let mut client = gateway.client().await;
            let id = client.id();
            client.subscribe("lobby").await;
            client
                .ack(json!({"type": "unsubscribe", "room": "lobby"}))
                .await;
            let unknown = json!({"type": "history", "room": "lobby"});
            client.refused(unknown, "no_history").await;
            client.close().await;
            let of = |message: &'static str| {
                let id = id.clone();
                move |line: &Value| {
                    let about = line["connection_id"] == id && line["message"] == message;
                    about.then(|| line["trace_id"].clone())
                }
            };
            let expected = match rate {
                0 => Value::Null,
                _ => {
                    let connection = collector.span("connection", |_| true).await;
                    let bytes = connection.span.trace_id.iter();
                    json!(bytes.map(|byte| format!("{byte:02x}")).collect::<String>())
                }
            };
            for message in [
                "connection opened",
                "subscribed",
                "unsubscribed",
                "request refused",
                "connection closed by the client",
            ] {
                let trace_id = gateway.logged(message, of(message)).await;
                assert_eq!(trace_id, expected, "{message}");
            }
            let mut about = lines(&gateway);
            about.retain(|line| line["connection_id"] == id);
            assert_eq!(about.len(), 5, "all of them were looked at: {about:?}");
        }
    });
}

#[test]
fn of_many_connections_that_end_for_one_error_some_are_told_and_another_error_still_is() {
    const MANY: usize = 100;
    scenario(60, async {
        let gateway = Gateway::start_with(&Manifest::unhurried(), &["--shards", "1"]).await;
        let began = std::time::Instant::now();
        for _ in 0..MANY {
            let mut raw = Raw::upgraded(gateway.public, "").await;
            raw.send(&frame(0x80 | op::BINARY, b"\x01")).await;
            assert_eq!(raw.closed().await.0, 1003);
        }
        // Ten in ten seconds.
        let windows = 1 + began.elapsed().as_secs() as usize / 10;
        let mut other = Raw::upgraded(gateway.public, "").await;
        other.send(&frame(0xf0 | op::TEXT, b"")).await;
        assert_eq!(other.closed().await.0, 1002);
        let code = |code: u16| {
            move |line: &Value| (line["message"] == CLOSED && line["code"] == code).then_some(())
        };
        gateway.logged("the other error", code(1002)).await;
        let all = lines(&gateway);
        let told: Vec<_> = all
            .iter()
            .filter(|line| code(1003)(line).is_some())
            .collect();
        assert!(told.len() >= 10 && told.len() <= 10 * windows, "{told:?}");
        assert_eq!(told[0]["count"], 1);
        let counted = gateway.metric("linnet_connections_closed_total").await;
        assert_eq!(counted, MANY as f64, "all are counted");
    });
}

#[test]
fn the_level_changes_on_a_running_gateway() {
    scenario(60, async {
        let gateway = Gateway::start(&levelled(Manifest::unhurried(), "info")).await;
        let mut ids = Vec::new();
        for level in ["debug", "error", "debug"] {
            ids.push(gateway.client().await.id());
            gateway
                .reconfigure(&levelled(Manifest::unhurried(), level))
                .await;
        }
        let last = gateway.client().await.id();
        let opened = |line: &Value| {
            let opened = line["message"] == "connection opened";
            opened.then(|| line["connection_id"].as_str().unwrap().to_owned())
        };
        let is_last = |line: &Value| opened(line).filter(|id| *id == last);
        gateway.logged("the last connection", is_last).await;
        let told: Vec<_> = lines(&gateway).iter().filter_map(opened).collect();
        assert_eq!(told, [ids[1].clone(), last.clone()], "{ids:?}");
    });
}
