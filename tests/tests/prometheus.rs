//! What Prometheus makes of us: its linter, its rule checks, and a server that scrapes.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use linnet_tests::collector::GRPC;
use linnet_tests::gateway::workspace;
use linnet_tests::http;
use linnet_tests::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::process::Command;

/// A program of Debian's package, which `tests/run` installs.
fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name));
    let found = found.into_iter().find(|file| file.exists());
    found.unwrap_or_else(|| {
        panic!("{name} is missing. Debian: apt-get install --no-install-recommends prometheus")
    })
}

/// Runs `promtool` with `input`; fails with what it has to say, warnings too.
async fn promtool(args: &[&str], input: &str) {
    let mut child = Command::new(tool("promtool"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let done = within("promtool", 60, child.wait_with_output())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        done.status.success() && said.is_empty(),
        "promtool {args:?}: {said}"
    );
}

async fn older_text(address: SocketAddr) -> String {
    let request = "GET /metrics HTTP/1.1\r\nHost: gateway\r\nAccept: text/plain;version=0.0.4\r\nConnection: close\r\n\r\n";
    http::send(address, request.as_bytes()).await.body
}

#[test]
fn the_linter_has_nothing_to_say_about_the_metrics() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let manifest = Manifest::unhurried().nats(&[server.url()]).history(10);
        let fleet = Fleet::start(&manifest, 1).await;
        let mut client = fleet[0].client().await;
        client.subscribe("lobby").await;
        client.publish("lobby", json!(1)).await;
        client.next_of("message").await;
        let operator = Operator::start_in(&[]).await;
        for address in [fleet[0].internal, operator.address] {
            promtool(&["check", "metrics"], &older_text(address).await).await;
        }
    });
}

#[test]
fn alerts_and_the_questions_of_dashboards_are_valid() {
    scenario(60, async {
        let files = workspace().join("charts/linnet/files");
        let folder = tempfile::tempdir().unwrap();
        let rules = std::fs::read_to_string(files.join("rules.yaml")).unwrap();
        check_rules(folder.path(), &rules).await;
        for board in std::fs::read_dir(files.join("dashboards")).unwrap() {
            let text = std::fs::read_to_string(board.unwrap().path()).unwrap();
            let board: Value = serde_json::from_str(&text).unwrap();
            let panels = board["panels"].as_array().unwrap().iter();
            let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
            let records: Vec<Value> = targets
                .enumerate()
                .map(|(number, target)| {
                    let expr = target["expr"].as_str().unwrap();
                    let expr = expr.replace("$__rate_interval", "5m");
                    json!({"record": format!("asked_{number}"), "expr": expr})
                })
                .collect();
            assert!(records.len() > 5);
            let rules = json!({"groups": [{"name": "asked", "rules": records}]});
            check_rules(folder.path(), &rules.to_string()).await;
        }
    });
}

async fn check_rules(folder: &Path, rules: &str) {
    let file = folder.join("rules.yaml");
    std::fs::write(&file, rules).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], "").await;
}

#[test]
fn a_prometheus_scrapes_a_gateway_with_its_exemplars_and_an_operator() {
    scenario(120, async {
        let collector = Collector::start().await;
        let manifest = Manifest::unhurried().traced(&collector.over_http(), 1_000_000);
        let gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        client.publish("lobby", json!(1)).await;
        client.next_of("message").await;
        let operator = Operator::start_in(&[]).await;
        let folder = tempfile::tempdir().unwrap();
        let config = json!({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [
                {
                    "job_name": "gateway",
                    "static_configs": [{"targets": [gateway.internal.to_string()]}],
                },
                {
                    "job_name": "operator",
                    "static_configs": [{"targets": [operator.address.to_string()]}],
                },
            ],
        });
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config.to_string()).unwrap();
        let address = format!("127.0.0.1:{}", linnet_tests::ports::lasting());
        let _server = Command::new(tool("prometheus"))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let address: SocketAddr = address.parse().unwrap();
        until("prometheus listens", || async {
            TcpStream::connect(address).await.ok().map(drop)
        })
        .await;
        let ask = |question: &'static str, test: fn(&Value) -> bool| async move {
            until(question, || async {
                let answer = http::get(address, question).await;
                serde_json::from_str(&answer.body)
                    .ok()
                    .filter(test)
                    .map(drop)
            })
            .await;
        };
        ask("/api/v1/query?query=linnet_connections", |answer| {
            answer["data"]["result"][0]["value"][1] == "1"
        })
        .await;
        ask("/api/v1/query?query=linnet_operator_leader", |answer| {
            answer["data"]["result"][0]["value"][1] == "1"
        })
        .await;
        ask("/api/v1/query_exemplars?query=linnet_delivery_latency_seconds_bucket&start=0&end=9999999999", |answer| {
            answer["data"][0]["exemplars"][0]["labels"]["trace_id"].is_string()
        })
        .await;
    });
}

#[test]
fn an_operator_sends_its_metrics_where_its_environment_says() {
    scenario(60, async {
        let collector = Collector::start().await;
        let endpoint = collector.over_grpc();
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
            GRPC,
        ];
        let _operator = Operator::start_in(&variables).await;
        collector.metric("linnet_operator_leader").await;
        let took = collector.metric("linnet_operator_reconcile_duration_seconds");
        assert_eq!(took.await.unit, "s");
    });
}
