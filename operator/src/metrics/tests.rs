use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;

fn text(metrics: Metrics, objects: Objects) -> String {
    let exposition = Exposition {
        metrics: Arc::new(metrics),
        objects,
        leads: true,
    };
    exposition.text().unwrap()
}

#[test]
fn passes_are_counted_by_outcome_and_time() {
    let metrics = Metrics::new();
    metrics.passed(Outcome::Done, Duration::from_millis(20));
    metrics.passed(Outcome::Done, Duration::from_millis(25));
    metrics.passed(Outcome::TimedOut, Duration::from_secs(61));
    let text = text(metrics, Objects::default());
    for line in [
        "linnet_operator_reconciles_total{outcome=\"done\"} 2",
        "linnet_operator_reconciles_total{outcome=\"failed\"} 0",
        "linnet_operator_reconciles_total{outcome=\"timed_out\"} 1",
        "linnet_operator_reconcile_duration_seconds_bucket{le=\"0.01\"} 0",
        "linnet_operator_reconcile_duration_seconds_bucket{le=\"0.025\"} 2",
        "linnet_operator_reconcile_duration_seconds_bucket{le=\"+Inf\"} 3",
        "linnet_operator_reconcile_duration_seconds_count 3",
        "linnet_operator_leader 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn channels_are_counted_by_condition() {
    let status = |truth: &str| {
        let status = json!({"conditions": [{"type": "Ready", "status": truth, "reason": "r", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        serde_json::from_value(status).unwrap()
    };
    let mut objects = Objects::default();
    objects.add(Some(&status("True")));
    objects.add(Some(&status("True")));
    objects.add(Some(&status("False")));
    objects.add(None);
    let text = text(Metrics::new(), objects);
    for line in [
        "linnet_operator_channels 4",
        "linnet_operator_channel_conditions{type=\"Ready\",status=\"True\"} 2",
        "linnet_operator_channel_conditions{type=\"Ready\",status=\"False\"} 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn what_nats_refused_is_counted_by_reason() {
    let metrics = Metrics::new();
    metrics.nats_failed("Unreachable");
    metrics.nats_failed("Unreachable");
    let text = text(metrics, Objects::default());
    assert!(
        text.contains("linnet_operator_nats_errors_total{reason=\"Unreachable\"} 2"),
        "{text}"
    );
}

#[test]
fn a_channel_waits_once_however_often_it_changes() {
    let queue = Queue::default();
    queue.changed("talk", "chat");
    queue.changed("talk", "chat");
    queue.changed("talk", "more");
    assert_eq!(queue.len(), 2);
    queue.begins("talk", "chat");
    queue.begins("talk", "never seen");
    assert_eq!(queue.len(), 1);
    queue.clear();
    assert!(queue.is_empty());
}

#[test]
fn dashboards_and_alerts_ask_for_metrics_that_there_are() {
    let chart = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/linnet/files");
    let boards = std::fs::read_dir(chart.join("dashboards")).unwrap();
    let files = boards.map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.chain([chart.join("rules.yaml")]).collect();
    let metrics = Metrics::new();
    metrics.nats_failed("Unreachable");
    let status = json!({"conditions": [{"type": "Ready", "status": "True", "reason": "r", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let mut objects = Objects::default();
    objects.add(Some(&serde_json::from_value(status).unwrap()));
    let text = text(metrics, objects);
    let known: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let mut asked = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for name in words.filter(|word| word.starts_with("linnet_operator_")) {
            assert!(
                known.contains(&name),
                "{}: no operator has {name}",
                file.display()
            );
            asked += 1;
        }
    }
    assert!(asked > 10);
}
