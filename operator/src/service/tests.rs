//! The process against an API server that knows one Lease and never answers anything else.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::client::Body;
use linnet_telemetry::env;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;

/// What the API server has, and what was asked of it.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<(Option<Value>, Vec<String>)>>);

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let path = parts.uri.path().to_owned();
                let lease = path.contains("/leases");
                server.0.lock().unwrap().1.push(path);
                if !lease {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(server.lease(&parts.method, &body))
            }
        });
        Client::new(service, "default")
    }

    fn lease(&self, method: &Method, body: &[u8]) -> Response<Body> {
        let mut state = self.0.lock().unwrap();
        if method != Method::GET {
            state.0 = Some(serde_json::from_slice(body).unwrap());
        }
        let (code, answer) = match &state.0 {
            Some(lease) => (200, lease.clone()),
            None => (
                404,
                json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "",
                "code": 404}),
            ),
        };
        let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
        *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
        response
    }

    fn holder(&self) -> Value {
        let state = self.0.lock().unwrap();
        state.0.clone().unwrap_or_default()["spec"]["holderIdentity"].clone()
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

struct Operator {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    port: u16,
}

async fn start(server: &Server) -> Operator {
    telling(server, &[]).await
}

/// One that finds these in its environment.
async fn telling(server: &Server, variables: &[(&str, &str)]) -> Operator {
    let own = env::Own::default();
    let telemetry = env::read(&own, |name| {
        let found = variables.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel();
    let service = Service {
        client: server.client(),
        settings: Settings::plain(),
        scopes: vec![Scope::Cluster],
        lease: "linnet-operator".into(),
        namespace: "linnet".into(),
        pod: Some("me".into()),
        rollouts: 1,
        broker_gone_after: Duration::from_secs(600),
        telemetry,
    };
    let stopped = async {
        let _ = stopped.await;
    };
    let task = tokio::spawn(service.run(listener, stopped));
    Operator { stop, task, port }
}

async fn ask(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn until(port: u16, words: &str) {
    let found = async {
        while !ask(port, "/readyz").await.contains(words) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), found).await.unwrap();
}

#[tokio::test]
async fn a_standby_is_ready_and_asks_for_nothing_but_the_lease() {
    let server = Server::default();
    server.0.lock().unwrap().0 = Some(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "linnet-operator", "resourceVersion": "1"},
        "spec": {"holderIdentity": "other_1", "leaseDurationSeconds": 15},
    }));
    let operator = start(&server).await;
    until(operator.port, "standing by: other_1 leads").await;
    assert!(
        ask(operator.port, "/metrics")
            .await
            .contains("linnet_operator_leader 0")
    );
    let asked = server.asked();
    assert!(
        asked.iter().all(|path| path.contains("/leases")),
        "{asked:?}"
    );
    operator.stop.send(()).unwrap();
    operator.task.await.unwrap();
    assert_eq!(server.holder(), "other_1");
}

#[tokio::test]
async fn a_leader_that_is_told_to_stop_gives_the_lease_back_whatever_hangs() {
    let server = Server::default();
    let operator = start(&server).await;
    until(operator.port, "leading").await;
    assert!(server.holder().as_str().unwrap().starts_with("me_"));
    let serves = async {
        while !server
            .asked()
            .iter()
            .any(|path| path.contains("/deployments"))
        {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), serves).await.unwrap();
    operator.stop.send(()).unwrap();
    timeout(Duration::from_secs(10), operator.task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(server.holder(), Value::Null);
}

#[tokio::test]
async fn metrics_go_to_a_collector_that_the_environment_names() {
    let (arrived, mut arrives) = mpsc::channel(100);
    let collector = axum::Router::new().fallback(move |body: axum::body::Bytes| {
        let arrived = arrived.clone();
        async move {
            let _ = arrived.try_send(body); // a full channel has enough to look at
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/metrics", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, collector).into_future());
    let variables = [
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", endpoint.as_str()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "20"),
    ];
    let operator = telling(&Server::default(), &variables).await;
    let told = async {
        while let Some(body) = arrives.recv().await {
            let holds = |name: &[u8]| body.windows(name.len()).any(|part| part == name);
            if holds(b"linnet_operator_leader") && holds(b"linnet_operator_reconciles_total") {
                return;
            }
        }
    };
    timeout(Duration::from_secs(20), told).await.unwrap();
    operator.stop.send(()).unwrap();
    operator.task.await.unwrap();
}
