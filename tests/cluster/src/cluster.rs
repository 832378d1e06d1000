//! Which cluster the tests use.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::process::Command;

use crate::door::Door;
use crate::kubectl::Kubectl;

const HOW: &str = "There is no cluster to test on. `tests/run cluster` does everything. For single tests: \
                   `tests/cluster/cluster up`, then `eval \"$(tests/cluster/cluster env)\"`.";

/// The cluster that `tests/cluster/cluster env` describes.
#[derive(Clone, Debug)]
pub struct Cluster {
    http: SocketAddr,
    https: SocketAddr,
    certificate: PathBuf,
}

impl Cluster {
    /// Reads the environment.
    ///
    /// # Panics
    /// When it names no cluster.
    #[must_use]
    pub fn current() -> Self {
        let of = |name| env::var(name).unwrap_or_else(|_| panic!("{name} is not set. {HOW}"));
        Self {
            http: of("LINNET_CLUSTER_HTTP").parse().unwrap(),
            https: of("LINNET_CLUSTER_HTTPS").parse().unwrap(),
            certificate: of("LINNET_CLUSTER_CA").into(),
        }
    }

    /// The ingress's address for any host, without TLS.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.http
    }

    /// The ingress's way in for `host`, without TLS.
    #[must_use]
    pub fn http(&self, host: &str) -> Door {
        Door::http(self.http, host)
    }

    /// The same with TLS, where the certificate in the file `trusted` is the only one trusted.
    #[must_use]
    pub fn https(&self, host: &str, trusted: &Path) -> Door {
        Door::https(self.https, host, trusted)
    }

    /// Restarts a component of the cluster, such as `kube-apiserver`. Whether it serves again is another matter.
    ///
    /// # Panics
    /// When that does not go: only the one-node cluster's components can be restarted (LINNET_CLUSTER=onenode).
    pub async fn restart(&self, component: &str) {
        let script = file("tests/cluster/cluster");
        let restart = Command::new(script).args(["restart", component]).output();
        let done = restart.await.unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(
            done.status.success(),
            "{component} was not restarted: {said}"
        );
    }

    /// The certificate of the Gateway `projectcontour/contour`, for `*.linnet.localhost`.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Makes the Secret `name` of that certificate and its key where `kubectl` is.
    ///
    /// # Panics
    /// When the cluster has it not.
    pub async fn copy_certificate(&self, kubectl: &Kubectl, name: &str) {
        let secret = Kubectl::new("projectcontour").get("secret/localhost").await;
        let copy = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": secret["type"],
            "data": secret["data"],
        });
        kubectl.apply(&copy.to_string()).await;
    }
}

/// A file of the repository.
#[must_use]
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}
