use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, Response, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use crate::api::Counts;
use crate::api::desk::Desk;
use crate::auth::{ApiAccess, Revoker};
use crate::broker::nats::health::Health;
use crate::config::watch::manifest::{self, Author};
use crate::config::watch::watch;
use crate::drain::Phase;
use crate::hub;
use crate::metrics::{DELIVERY_BUCKETS, HubMetrics, ShardMetrics};
use crate::protocol::ErrorCode;
use crate::transport::http::{Home, Reason};
use crate::transport::shard::accepting::Door;
use crate::transport::shard::handle::{NewConnection, Opening};
use crate::transport::shard::wire::Wire;
use crate::transport::{Role, Transport};

const MANIFEST: &str = "\
apiVersion: realtime.linnet.dev/v1alpha1
kind: RealtimeChannel
metadata: {name: tests}
spec: {authentication: {anonymous: Allow}}
";

struct Three;

impl Home for Three {
    fn connections(&self) -> usize {
        3
    }

    fn adopt(&self, _: NewConnection) {}

    fn plug(&self, _: Opening, _: Transport, _: Role) -> Option<Wire> {
        None
    }

    fn listen(&self, _: Arc<dyn Door>) {}

    fn resume(&self) {}
}

struct Scene {
    internal: Internal,
    path: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("channel.yaml");
        std::fs::write(&path, MANIFEST).unwrap();
        let loaded = manifest::load(&path, Author::Person).unwrap();
        let lifecycle = Arc::new(Lifecycle::new());
        let channel = loaded.channel();
        let public = Public::new(
            Arc::clone(&channel),
            Arc::default(),
            Arc::new(Three),
            Arc::clone(&lifecycle),
            10_000,
        );
        let config = watch(path.clone(), Author::Person, loaded, |_| ()).unwrap();
        let metrics = GatewayMetrics {
            shards: vec![Arc::default(), Arc::default()],
            hub: Arc::new(HubMetrics::default()),
            http: Arc::clone(public.metrics()),
            api: Arc::default(),
            tokens: Arc::default(),
            handler: Arc::default(),
            config: Arc::clone(&config),
            broker: None,
        };
        let internal = Internal {
            name: "gw-0".into(),
            lifecycle,
            config,
            public: Arc::new(public),
            api: Api::new(
                channel,
                ApiAccess::default(),
                Desk::new(hub::actor::handle().0),
                Revoker::new(Arc::default(), None),
                Counts {
                    gateway: "gw-0".into(),
                    shards: Vec::new(),
                    hub: Arc::default(),
                },
                None,
            ),
            shards: Shards::new(Vec::new()),
            top: Looks(Arc::new(|_| top::Report::default())),
            metrics: Arc::new(metrics),
            broker: None,
        };
        Self {
            internal,
            path,
            _folder: folder,
        }
    }

    async fn get(&self, path: &str) -> Response<Body> {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router(self.internal.clone())
            .oneshot(request)
            .await
            .unwrap()
    }

    async fn text(&self, path: &str) -> (StatusCode, String) {
        let response = self.get(path).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn samples(&self) -> BTreeMap<String, f64> {
        parse(&self.text("/metrics").await.1)
    }
}

#[tokio::test]
async fn readiness_follows_the_gateways_life() {
    let scene = Scene::new();
    let (status, body) = scene.text("/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("starting"));
    scene.internal.lifecycle.enter(Phase::Serving);
    assert_eq!(
        scene.text("/readyz").await,
        (StatusCode::OK, "ready\n".into())
    );
    scene.internal.lifecycle.enter(Phase::Draining);
    let (status, body) = scene.text("/readyz").await;
    assert_eq!(status, 503);
    assert!(body.contains("drain"));
    assert_eq!(scene.text("/livez").await.0, 200);
    assert_eq!(scene.text("/elsewhere").await.0, 404);
}

#[tokio::test]
async fn the_status_is_what_the_operator_reads() {
    let scene = Scene::new();
    let body = scene.text("/status").await.1;
    let status: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status["connections"], 3);
    assert_eq!(status["draining"], false);
    assert_eq!(status["configError"], Value::Null);
    assert_eq!(status["configHash"].as_str().unwrap().len(), 16);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["name"], "gw-0");
}

#[tokio::test]
async fn a_broken_manifest_is_told_and_no_reason_to_send_nobody() {
    let scene = Scene::new();
    scene.internal.lifecycle.enter(Phase::Serving);
    std::fs::write(&scene.path, MANIFEST.replace("Allow", "Perhaps")).unwrap();
    let step = async {
        while scene.internal.config.status().error.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), step)
        .await
        .unwrap();
    let (status, body) = scene.text("/readyz").await;
    assert_eq!(status, 200);
    assert!(
        body.contains("warning") && body.contains("line 4"),
        "{body}"
    );
    assert_eq!(scene.samples().await["linnet_config_valid"], 0.0);
}

#[tokio::test]
async fn metrics_add_up_what_the_shards_count() {
    let scene = Scene::new();
    let metrics = &scene.internal.metrics;
    for shard in &metrics.shards {
        shard.connections.set(5);
        shard.bytes_in.add(100);
        shard.refusals[ErrorCode::Forbidden as usize].add(2);
        shard.closes[ErrorCode::SlowConsumer as usize].add(1);
        shard.delivery.observe(Duration::from_micros(300), 4);
        shard.delivery.observe(Duration::from_secs(60), 1);
    }
    metrics.hub.rooms.set(7);
    metrics.hub.resumes_lost.add(3);
    let samples = scene.samples().await;
    for (name, value) in [
        ("linnet_connections", 10.0),
        ("linnet_received_bytes_total", 200.0),
        ("linnet_request_refusals_total{code=\"forbidden\"}", 4.0),
        (
            "linnet_connections_closed_total{code=\"slow_consumer\"}",
            2.0,
        ),
        ("linnet_rooms", 7.0),
        ("linnet_resumes_total{outcome=\"lost\"}", 3.0),
        ("linnet_resumes_total{outcome=\"recovered\"}", 0.0),
        (
            "linnet_delivery_latency_seconds_bucket{le=\"0.00025\"}",
            0.0,
        ),
        ("linnet_delivery_latency_seconds_bucket{le=\"0.0005\"}", 8.0),
        ("linnet_delivery_latency_seconds_bucket{le=\"10.0\"}", 8.0),
        ("linnet_delivery_latency_seconds_bucket{le=\"+Inf\"}", 10.0),
        ("linnet_delivery_latency_seconds_count", 10.0),
        ("linnet_config_valid", 1.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
    let sum = samples["linnet_delivery_latency_seconds_sum"];
    assert!((sum - 120.0024).abs() < 1e-9, "{sum}");
}

#[tokio::test]
async fn every_metric_of_the_documentation_is_there() {
    let scene = Scene::new();
    let response = scene.get("/metrics").await;
    let content_type = response.headers()["content-type"].to_str().unwrap();
    assert!(content_type.starts_with("application/openmetrics-text"));
    let samples = scene.samples().await;
    for name in [
        "linnet_connections",
        "linnet_connections_opened_total",
        "linnet_transport_connections{transport=\"sse\"}",
        "linnet_messages_received_total",
        "linnet_messages_delivered_total",
        "linnet_received_bytes_total",
        "linnet_sent_bytes_total",
        "linnet_rooms",
        "linnet_subscriptions",
        "linnet_slow_consumers_total",
        "linnet_queue_bytes",
        "linnet_backlogged_connections",
        "linnet_history_bytes",
        "linnet_history_evictions_total",
        "linnet_gaps_total",
        "linnet_published_total",
        "linnet_duplicates_total",
    ] {
        assert_eq!(samples.get(name), Some(&0.0), "{name}");
    }
    let with = |start: &str| {
        samples
            .keys()
            .filter(|name| name.starts_with(start))
            .count()
    };
    let codes = ErrorCode::ALL.len();
    assert_eq!(with("linnet_request_refusals_total{code="), codes);
    assert_eq!(with("linnet_connections_closed_total{code="), codes);
    let reasons = Reason::ALL.len();
    assert_eq!(with("linnet_handshakes_refused_total{reason="), reasons);
    assert_eq!(with("linnet_build_info{version="), 1);
    let buckets = DELIVERY_BUCKETS.len() + 1;
    assert_eq!(with("linnet_delivery_latency_seconds_bucket"), buckets);
}

/// Reads OpenMetrics, as strictly as this page needs it: samples by name and labels, as written.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let body = text.strip_suffix("# EOF\n").expect("the end is told");
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            let rest = words.next().expect("a comment says something");
            match kind {
                "TYPE" => assert!(types.insert(name, rest).is_none(), "{name} stands twice"),
                "HELP" => assert!(rest.len() > 5),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}"))),
                other => panic!("# {other}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let bare = name.split('{').next().unwrap();
        let known = |suffix: &str, kind: &str| {
            let family = bare.strip_suffix(suffix);
            family.is_some_and(|family| types.get(family) == Some(&kind))
        };
        let typed = known("_total", "counter")
            || known("", "gauge")
            || known("_info", "info")
            || ["_bucket", "_sum", "_count"]
                .iter()
                .any(|suffix| known(suffix, "histogram"));
        assert!(typed, "{name} is of no type");
        let value = value.parse().unwrap();
        assert!(
            samples.insert(name.to_owned(), value).is_none(),
            "{name} stands twice"
        );
    }
    samples
}

#[test]
fn shards_that_are_counted_lie_on_lines_of_their_own() {
    assert_eq!(std::mem::align_of::<ShardMetrics>(), 128);
}

/// Names of metrics in the dashboards and alerts of the chart.
fn names_in_the_chart() -> std::collections::BTreeSet<String> {
    let chart = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/linnet/files");
    let boards = std::fs::read_dir(chart.join("dashboards")).unwrap();
    let files = boards.map(|entry| entry.unwrap().path());
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    files
        .chain([chart.join("rules.yaml")])
        .flat_map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let words = text.split(|c| !word(c)).map(str::to_owned);
            words.collect::<Vec<_>>()
        })
        .filter(|name| name.starts_with("linnet_") || name.starts_with("process_"))
        .collect()
}

#[tokio::test]
async fn dashboards_and_alerts_ask_for_metrics_that_there_are() {
    let mut scene = Scene::new();
    let metrics = GatewayMetrics {
        shards: vec![Arc::default()],
        hub: Arc::default(),
        http: Arc::clone(scene.internal.public.metrics()),
        api: Arc::default(),
        tokens: Arc::default(),
        handler: Arc::default(),
        config: Arc::clone(&scene.internal.config),
        broker: Some(Arc::new(Health::new(1))),
    };
    scene.internal.metrics = Arc::new(metrics);
    let samples = scene.samples().await;
    let known: Vec<&str> = samples
        .keys()
        .filter_map(|name| name.split('{').next())
        .collect();
    let asked = names_in_the_chart();
    let gateways = asked
        .iter()
        .filter(|name| !name.starts_with("linnet_operator_"));
    let unknown: Vec<_> = gateways
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "no gateway has {unknown:?}");
    assert!(asked.len() > 30);
}

#[tokio::test]
async fn who_asks_for_plain_text_gets_the_older_format() {
    let scene = Scene::new();
    let request = Request::get("/metrics").header("accept", "text/plain");
    let request = request.body(Body::empty()).unwrap();
    let response = router(scene.internal.clone())
        .oneshot(request)
        .await
        .unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("# TYPE linnet_messages_received_total counter\n"));
    assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
}
