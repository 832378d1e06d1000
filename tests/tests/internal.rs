//! The internal port and the log: what a gateway tells those who run it.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::prelude::*;

#[test]
fn a_healthy_gateway_is_alive_ready_and_says_what_it_serves() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        assert_eq!(gateway.get("/livez").await.status, 200);
        assert_eq!(gateway.get("/readyz").await.status, 200);
        let status = gateway.status().await;
        assert!(
            status["configHash"]
                .as_str()
                .is_some_and(|hash| hash.len() >= 8),
            "{status}"
        );
        assert!(status["configError"].is_null(), "{status}");
        assert_eq!(status["connections"], 0);
        assert_eq!(status["draining"], false);
        assert!(
            status["version"]
                .as_str()
                .unwrap()
                .starts_with(|c: char| c.is_ascii_digit()),
            "{status}"
        );
        assert_eq!(gateway.get("/nothing").await.status, 404);
    });
}

#[test]
fn the_config_hash_names_the_configuration() {
    scenario(60, async {
        let manifest = Manifest::unhurried();
        let first = Gateway::start(&manifest).await;
        let second = Gateway::start(&manifest).await;
        let hash = first.status().await["configHash"].clone();
        assert_eq!(
            hash,
            second.status().await["configHash"],
            "the same manifest, the same hash"
        );
        first
            .reconfigure(&manifest.clone().limits(json!({"messageSize": "1Ki"})))
            .await;
        assert_ne!(hash, first.status().await["configHash"]);
        first.reconfigure(&manifest).await;
        assert_eq!(
            hash,
            first.status().await["configHash"],
            "a rollback brings the hash back"
        );
    });
}

#[test]
fn the_internal_paths_are_not_on_the_public_port() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        for path in ["/status", "/metrics", "/livez", "/readyz"] {
            assert_eq!(gateway.get_public(path).await.status, 404, "{path}");
        }
        assert_eq!(gateway.get("/ws").await.status, 404);
    });
}

#[test]
fn status_and_metrics_count_connections_rooms_messages_and_bytes() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(10)).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            let mut client = gateway.client().await;
            client.subscribe("lobby").await;
            clients.push(client);
        }
        for n in 0..5 {
            clients[0].publish("lobby", json!(n)).await;
        }
        for client in &mut clients {
            for n in 0..5 {
                assert_eq!(client.next_of("message").await["data"], n);
            }
        }
        assert_eq!(gateway.status().await["connections"], 3);
        gateway.metric_reaches("linnet_connections", 3.0).await;
        gateway.metric_reaches("linnet_rooms", 1.0).await;
        gateway
            .metric_reaches("linnet_messages_received_total", 5.0)
            .await;
        gateway
            .metric_reaches("linnet_messages_delivered_total", 15.0)
            .await;
        assert!(gateway.metric("linnet_received_bytes_total").await > 200.0);
        assert!(gateway.metric("linnet_sent_bytes_total").await > 1000.0);
        assert_eq!(gateway.metric("linnet_messages_received_total").await, 5.0);
        assert_eq!(
            gateway.metric("linnet_messages_delivered_total").await,
            15.0
        );
        assert_eq!(
            gateway
                .metric("linnet_delivery_latency_seconds_count")
                .await,
            15.0
        );
        drop(clients);
        until("no connections", || async {
            (gateway.metric("linnet_connections").await == 0.0).then_some(())
        })
        .await;
        assert_eq!(gateway.status().await["connections"], 0);
    });
}

#[test]
fn every_metric_has_its_help_and_its_type() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        gateway.client().await.publish("lobby", json!(1)).await;
        let answer = gateway.get("/metrics").await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.header("content-type").unwrap().contains("text"),
            "{answer:?}"
        );
        let samples = gateway.metrics().await;
        assert!(samples.len() > 10);
        for sample in samples {
            assert!(
                sample.name.starts_with("linnet_") || sample.name.starts_with("process_"),
                "{sample:?}"
            );
            let bare = ["_total", "_bucket", "_count", "_sum", "_info"]
                .iter()
                .find_map(|end| sample.name.strip_suffix(end));
            let named = [bare.unwrap_or(&sample.name), &sample.name];
            for kind in ["HELP", "TYPE"] {
                let told = named
                    .iter()
                    .any(|name| answer.body.contains(&format!("# {kind} {name} ")));
                assert!(told, "{} has no {kind}", sample.name);
            }
        }
        for name in [
            "linnet_connections",
            "linnet_handshakes_refused_total",
            "linnet_messages_received_total",
            "linnet_messages_delivered_total",
            "linnet_received_bytes_total",
            "linnet_sent_bytes_total",
            "linnet_rooms",
            "linnet_slow_consumers_total",
            "linnet_queue_bytes",
            "linnet_delivery_latency_seconds_bucket",
        ] {
            assert!(answer.body.contains(&format!("\n{name}")), "no {name}");
        }
    });
}

#[test]
fn refusals_are_counted_by_reason() {
    scenario(60, async {
        let manifest = Manifest::unhurried().limits(json!({"connectionsPerGateway": 1}));
        let gateway = Gateway::start(&manifest).await;
        let _one = gateway.client().await;
        gateway.try_client("").await.unwrap_err();
        gateway.try_client("").await.unwrap_err();
        until("a refusal with its reason", || async {
            let samples = gateway.metrics().await;
            let refused = samples
                .iter()
                .filter(|sample| sample.name.contains("refused"));
            let mut full = refused.filter(|sample| !sample.labels.is_empty());
            full.any(|sample| sample.value >= 2.0).then_some(())
        })
        .await;
    });
}

#[test]
fn log_lines_are_json_with_the_connection_and_never_with_payloads_or_secrets() {
    scenario(60, async {
        let verbose = json!({"telemetry": {"logLevel": "trace"}});
        let manifest = Manifest::unhurried().history(10).spec(verbose);
        let mut gateway = Gateway::start_with(&manifest, &["--drain", "0"]).await;
        let payload = "correct-horse-battery-staple";
        let mut client = gateway.client_with("name=my-own-name").await;
        let id = client.id();
        let session = client.connected["session"].as_str().unwrap().to_owned();
        client.subscribe("lobby").await;
        client.publish("lobby", json!(payload)).await;
        client
            .request(json!({"type": "connect", "token": payload}))
            .await
            .unwrap_err();
        client
            .send_text(format!("{{\"type\":\"publish\",\"data\":\"{payload}\""))
            .await;
        client.next_of("message").await;
        client.next_of("error").await;
        let mut plain = gateway.plain("lobby").await;
        plain.settle(payload).await;
        client.cut();
        gateway
            .logged("the connection's id", |line| {
                let found = line["connection_id"] == json!(id)
                    || line["fields"]["connection_id"] == json!(id)
                    || line["span"]["connection_id"] == json!(id);
                found.then_some(())
            })
            .await;
        gateway.signal("TERM");
        gateway.exit(30).await;
        for line in gateway.log() {
            let entry: Result<Value, _> = serde_json::from_str(&line);
            assert!(
                entry.is_ok_and(|entry| entry["level"].is_string()),
                "no JSON log line: {line}"
            );
            assert!(!line.contains(payload), "a payload in the log: {line}");
            assert!(!line.contains(&session), "a secret in the log: {line}");
        }
        assert_eq!(
            gateway.stdout().len(),
            1,
            "standard output has the one line: {:?}",
            gateway.stdout()
        );
    });
}

#[test]
fn the_log_level_changes_live() {
    scenario(60, async {
        let level =
            |level: &str| Manifest::unhurried().spec(json!({"telemetry": {"logLevel": level}}));
        let gateway = Gateway::start(&level("error")).await;
        drop(gateway.client().await);
        gateway.reconfigure(&level("debug")).await;
        let client = gateway.client().await;
        let id = client.id();
        client.cut();
        gateway
            .logged("the second connection", |line| {
                line.to_string().contains(&id).then_some(())
            })
            .await;
    });
}

#[test]
fn rooms_and_users_are_named_on_the_own_machine_and_elsewhere_to_who_has_a_key() {
    scenario(60, async {
        let spec = json!({"authentication": {"anonymous": "Allow", "apiKeySecretName": "keys"}});
        let secrets = tempfile::tempdir().unwrap();
        let folder = secrets.path().join("keys");
        std::fs::create_dir(&folder).unwrap();
        let (inspect, publish) = ("i".repeat(32), "p".repeat(32));
        let entry = |key: &str, scope: &str| format!("{key}\nscopes: {scope}\n");
        std::fs::write(folder.join("api.sre"), entry(&inspect, "inspect")).unwrap();
        std::fs::write(folder.join("api.app"), entry(&publish, "publish")).unwrap();
        let path = secrets.path().to_str().unwrap();
        let gateway =
            Gateway::start_with(&Manifest::unhurried().spec(spec), &["--secrets", path]).await;
        let mut client = gateway.client().await;
        client.subscribe("a room of somebody").await;

        let here = gateway.get("/top").await;
        assert_eq!(here.status, 200);
        assert!(here.body.contains("a room of somebody"), "{here:?}");
        for (key, status) in [
            (None, 401),
            (Some("x".repeat(32)), 401),
            (Some(publish), 403),
            (Some(inspect), 200),
        ] {
            let answer = top_from_elsewhere(gateway.internal, key.as_deref()).await;
            assert_eq!(answer.status, status, "{answer:?}");
            let named = answer.body.contains("a room of somebody");
            assert_eq!(named, status == 200, "{answer:?}");
        }
    });
}

/// Asks from an address that is not the one that a machine calls itself by.
async fn top_from_elsewhere(
    internal: std::net::SocketAddr,
    key: Option<&str>,
) -> linnet_tests::http::Answer {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = socket.connect(internal).await.unwrap();
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n"));
    let key = key.unwrap_or_default();
    let request = format!("GET /top HTTP/1.1\r\nHost: x\r\n{key}Connection: close\r\n\r\n");
    linnet_tests::http::send_over(stream, request.as_bytes()).await
}
