//! Gateways whose manifest the operator writes (`--managed`).
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use linnet_gateway::config::document;
use linnet_tests::gateway::binary;
use linnet_tests::prelude::*;
use linnet_tests::{http, ports};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Starts a gateway on `file`, whatever it holds; gives its internal and its public address.
fn start(file: &Path) -> (Child, SocketAddr, SocketAddr) {
    let address = || SocketAddr::from((Ipv4Addr::LOCALHOST, ports::lasting()));
    let (internal, public) = (address(), address());
    let child = Command::new(binary())
        .arg(file)
        .args(["--managed", "--log-format", "json"])
        .args(["--listen", &public.to_string()])
        .args(["--internal", &internal.to_string()])
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    (child, internal, public)
}

/// `GET path`, once somebody answers there.
async fn get(address: SocketAddr, path: &str) -> http::Answer {
    until(("somebody at", address), || async {
        TcpStream::connect(address).await.ok()
    })
    .await;
    http::get(address, path).await
}

#[test]
fn a_gateway_that_starts_on_a_bad_manifest_waits_unready_and_serves_when_it_is_good() {
    scenario(60, async {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("channel.yaml");
        let bad = Manifest::open()
            .spec(json!({"console": "Sometimes"}))
            .yaml();
        std::fs::write(&file, bad).unwrap();
        let (mut child, internal, public) = start(&file);
        let ready = get(internal, "/readyz").await;
        assert_eq!(ready.status, 503);
        assert!(ready.body.contains("spec.console"), "{ready:?}");
        assert_eq!(http::get(internal, "/livez").await.status, 200);
        let status = http::get(internal, "/status").await.json();
        assert_eq!(status["configHash"], "");
        assert!(
            status["configError"]
                .as_str()
                .unwrap()
                .contains("spec.console")
        );
        assert!(
            TcpStream::connect(public).await.is_err(),
            "nobody is served yet"
        );
        let good = Manifest::open().yaml();
        std::fs::write(&file, &good).unwrap();
        until("it is ready", || async {
            TcpStream::connect(public).await.ok()?;
            (get(internal, "/readyz").await.status == 200).then_some(())
        })
        .await;
        let status = get(internal, "/status").await.json();
        assert_eq!(status["configHash"], document::hash(&good));
        assert!(status["configError"].is_null(), "{status}");
        assert!(
            child.try_wait().unwrap().is_none(),
            "it is the same process"
        );
    });
}

#[test]
fn a_gateway_that_waits_for_its_manifest_ends_when_it_is_told_to() {
    scenario(60, async {
        let folder = TempDir::new().unwrap();
        let (mut child, internal, _) = start(&folder.path().join("channel.yaml"));
        assert_eq!(get(internal, "/readyz").await.status, 503);
        let pid = child.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .arg(pid)
                .status()
                .await
                .unwrap()
                .success()
        );
        let ended = within("its end", 60, child.wait()).await.unwrap();
        assert_eq!(ended.code(), Some(143));
    });
}

#[test]
fn a_field_of_a_newer_operator_is_a_warning_and_the_rest_is_served() {
    scenario(60, async {
        let newer = Manifest::open().spec(json!({"limits": {"messagesPerMoon": 3}}));
        let gateway = Gateway::start_with(&newer, &["--managed"]).await;
        let status = gateway.status().await;
        assert!(status["configError"].is_null(), "{status}");
        assert!(
            status["configWarning"]
                .as_str()
                .unwrap()
                .contains("messagesPerMoon")
        );
        let ready = gateway.get("/readyz").await;
        assert_eq!(ready.status, 200);
        assert!(ready.body.contains("messagesPerMoon"), "{ready:?}");
        gateway.client().await;
    });
}
