//! An operator process of a test's own, at an API server that knows the Lease of the operators and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

use crate::http;
use crate::ports;
use crate::process::{self, Lines};
use crate::wait::until;

/// The operator binary: `LINNET_OPERATOR_BIN`, else the workspace's debug build.
///
/// # Panics
/// When there is none, saying how to build it.
#[must_use]
pub fn binary() -> PathBuf {
    process::binary(
        "LINNET_OPERATOR_BIN",
        "debug/linnet-operator",
        "cargo build -p linnet-operator",
    )
}

/// A running operator.
#[derive(Debug)]
pub struct Operator {
    _child: Child,
    log: Arc<Lines>,
    /// Where it tells how it is.
    pub address: SocketAddr,
    /// Holds its KUBECONFIG.
    _folder: TempDir,
}

impl Operator {
    /// Starts one with these environment variables, and awaits that it leads.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_in(variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, kubeconfig(api_server().await).to_string()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], ports::lasting()));
        let mut child = Command::new(binary())
            .args(["run", "--log-format", "json", "--listen"])
            .arg(address.to_string())
            .env_remove("RUST_LOG")
            .env("KUBECONFIG", &file)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = Lines::collect(child.stderr.take().unwrap());
        let operator = Self {
            _child: child,
            log,
            address,
            _folder: folder,
        };
        until("the operator leads", || async {
            tokio::net::TcpStream::connect(address).await.ok()?;
            let answer = http::get(address, "/readyz").await;
            (answer.body == "leading\n").then_some(())
        })
        .await;
        operator
    }

    /// All log lines so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.all()
    }
}

fn kubeconfig(server: SocketAddr) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": format!("http://{server}")}}],
        "users": [{"name": "tests", "user": {}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests", "namespace": "linnet"}}],
        "current-context": "tests",
    })
}

/// The Lease, once somebody has written it.
type Lease = Arc<Mutex<Option<Bytes>>>;

async fn api_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(Lease::default());
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

async fn answer(State(lease): State<Lease>, method: Method, uri: Uri, body: Bytes) -> Response {
    if !uri.path().contains("/leases") {
        return std::future::pending().await;
    }
    let mut lease = lease.lock().unwrap();
    if method != Method::GET {
        *lease = Some(body);
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    match lease.clone() {
        Some(lease) => (json, lease).into_response(),
        None => {
            let missing = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "",
                "code": 404});
            (StatusCode::NOT_FOUND, json, missing.to_string()).into_response()
        }
    }
}
