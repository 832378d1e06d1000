//! What a person uses: `websocat` and the console page in a browser, through Ingress and HTTPRoute, with and without
//! TLS. `tests/run cluster` installs both.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::path::PathBuf;
use std::process::Stdio;

use linnet_cluster_tests::channel::{READY, channel};
use linnet_cluster_tests::stage::{CHAT, pods};
use linnet_cluster_tests::{Cluster, Door, Guest, Namespace, cluster, scenario};
use linnet_tests::within;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Seconds for a line of websocat's, and for the page's test.
const LINE: u64 = 30;
const PAGE: u64 = 240;

/// A websocat in a room, which speaks lines.
struct Websocat {
    _process: Child,
    say: ChildStdin,
    hear: Lines<BufReader<ChildStdout>>,
}

impl Websocat {
    /// One that comes in by `url`, whose host is at `address`.
    fn start(url: &str, address: &str) -> Self {
        // Most systems do not resolve names below localhost: where to go is told beside the name.
        let (scheme, tcp) = (url.starts_with("wss:"), format!("tcp:{address}"));
        let host = url
            .split("//")
            .nth(1)
            .unwrap()
            .split([':', '/'])
            .next()
            .unwrap();
        let (uri, tls) = (format!("--ws-c-uri={url}"), format!("--tls-domain={host}"));
        let by = match scheme {
            true => format!("ws-c:ssl-connect:{tcp}"),
            false => format!("ws-c:{tcp}"),
        };
        let mut command = Command::new(websocat());
        command.args(["--text", &uri]);
        if scheme {
            command.arg(tls);
            // What is trusted besides the system's authorities.
            command.env("SSL_CERT_FILE", Cluster::current().certificate());
        }
        let mut process = command
            .args(["-", &by])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let say = process.stdin.take().unwrap();
        let hear = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            _process: process,
            say,
            hear,
        }
    }

    async fn say(&mut self, line: &str) {
        self.say
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
    }

    async fn hear(&mut self) -> String {
        let line = within("a line of websocat", LINE, self.hear.next_line()).await;
        line.unwrap().expect("websocat is connected")
    }

    /// Hears lines until `line`.
    async fn hears(&mut self, line: &str) {
        while self.hear().await != line {}
    }
}

/// The executable, as `tests/run interop` and `tests/run cluster` install it.
fn websocat() -> PathBuf {
    let installed = cluster::file(".cache/venv/bin/websocat");
    match installed.exists() {
        true => installed,
        false => panic!(
            "{} is missing: tests/run cluster installs it",
            installed.display()
        ),
    }
}

/// Two websocats, one at each of `doors`, chat in a room of their own.
async fn chat(room: &str, doors: [&Door; 2]) {
    let [ann, bob] = doors.map(|door| {
        let url = format!("{}/ws?room={room}&protocol=plain", door.url());
        Websocat::start(&url, &door.address().to_string())
    });
    let (mut ann, mut bob) = (ann, bob);
    ann.say("ann is here").await;
    ann.hears("ann is here").await;
    // Bob may be in the room already when Ann speaks; what counts is what follows his own word.
    bob.say("bob is here").await;
    bob.hears("bob is here").await;
    ann.hears("bob is here").await;
    ann.say("hello bob ✓").await;
    bob.hears("hello bob ✓").await;
    bob.say("hello ann").await;
    ann.hears("hello bob ✓").await;
    ann.hears("hello ann").await;
}

/// Two gateways behind what `way` asks for, once the ingress leads to them.
async fn on_stage(namespace: &Namespace, host: &str, way: &Value) -> Door {
    let kubectl = namespace.kubectl();
    let mut expose = way.clone();
    expose["hosts"] = json!([host]);
    let spec = json!({
        "replicas": 2, "rollout": {"drainSeconds": 1}, "console": "Enabled", "history": {"maxMessagesPerRoom": 100},
        "rooms": [{"match": "*", "presence": {"mode": "Full"}}], "expose": expose,
    });
    kubectl.apply(&channel("chat", &spec).to_string()).await;
    kubectl.wait("condition=Ready", CHAT, READY).await;
    pods(&kubectl, 2).await;
    let door = Cluster::current().http(host);
    Guest::enter(&door).await;
    door
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn websocat_and_a_browser_chat_through_an_ingress_with_and_without_tls() {
    scenario(600, async {
        let (cluster, namespace) = (Cluster::current(), Namespace::create("people").await);
        let host = format!("{}.linnet.localhost", namespace.name());
        cluster.copy_certificate(&namespace.kubectl(), "tls").await;
        let annotations = json!({"projectcontour.io/response-timeout": "infinity"});
        let way = json!({"ingress": {"className": "contour", "tlsSecretName": "tls", "annotations": annotations}});
        let http = on_stage(&namespace, &host, &way).await;
        let https = cluster.https(&host, cluster.certificate());
        Guest::enter(&https).await;
        chat("cleartext", [&http, &http]).await;
        chat("both", [&http, &https]).await;
        chat("encrypted", [&https, &https]).await;
        for door in [&http, &https] {
            console(door).await;
        }
    });
}

#[test]
#[ignore = "needs a cluster: tests/run cluster"]
fn websocat_chats_through_an_http_route_with_and_without_tls() {
    scenario(300, async {
        let (cluster, namespace) = (Cluster::current(), Namespace::create("route").await);
        let host = format!("{}.linnet.localhost", namespace.name());
        let parent = |section: &str| json!({"namespace": "projectcontour", "name": "contour", "sectionName": section});
        let way = json!({"httpRoute": {"parentRefs": [parent("http"), parent("https")]}});
        let http = on_stage(&namespace, &host, &way).await;
        let https = cluster.https(&host, cluster.certificate());
        Guest::enter(&https).await;
        chat("route", [&http, &https]).await;
    });
}

/// The page at `door` in Chromium.
async fn console(door: &Door) {
    let folder = cluster::file("tests/browser");
    assert!(
        folder.join("node_modules/playwright-core").exists(),
        "the browser's driver is missing: tests/run cluster installs it"
    );
    let node = Command::new("node")
        .args(["--test", "--test-reporter=spec", "cluster/ingress.test.js"])
        .current_dir(folder)
        .env("LINNET_CONSOLE", door.url().replacen("ws", "http", 1))
        .kill_on_drop(true)
        .output();
    let done = within("the page's test", PAGE, node)
        .await
        .expect("node is installed");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("pass 1"), "{said}");
}
