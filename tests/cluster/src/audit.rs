//! The API server's audit log: who asked for what.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use linnet_tests::within;
use serde_json::Value;

/// Verbs that change something.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Seconds within which what was asked stands in the log: the API server writes it in batches.
const WRITTEN: u64 = 20;

/// The log, from the moment on at which this was made.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    from: u64,
}

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Request(Value);

impl Audit {
    /// The log from now on.
    ///
    /// # Panics
    /// When the cluster keeps none.
    #[must_use]
    pub fn from_now() -> Self {
        let path = std::env::var("LINNET_CLUSTER_AUDIT").unwrap_or_default();
        assert!(
            !path.is_empty(),
            "this cluster keeps no audit log: take the one-node cluster (LINNET_CLUSTER=onenode \
             tests/cluster/cluster up) and eval \"$(tests/cluster/cluster env)\""
        );
        let path = PathBuf::from(path);
        let from = std::fs::metadata(&path).map_or(0, |file| file.len());
        Self { path, from }
    }

    /// The requests so far.
    ///
    /// # Panics
    /// When the log can't be read.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        let mut file = File::open(&self.path).unwrap();
        let length = file.metadata().unwrap().len();
        assert!(
            length >= self.from,
            "the log was rotated meanwhile: run this once more"
        );
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let mut text = Vec::new();
        file.read_to_end(&mut text).unwrap();
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        // The last line may not be whole yet.
        let lines = lines.filter(|line| line.ends_with(b"\n"));
        lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .map(Request)
            .collect()
    }

    /// The operators' requests that concern `namespace`.
    #[must_use]
    pub fn of_operators(&self, namespace: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.is_of_an_operator() && request.namespace() == namespace);
        requests
    }

    /// The operators' writes in `namespace`, but for Events.
    #[must_use]
    pub fn writes(&self, namespace: &str) -> Vec<Request> {
        let mut writes = self.of_operators(namespace);
        writes.retain(|request| request.is_write() && request.resource() != "events");
        writes
    }

    /// Waits until a pass of the channel `name` begins that nobody has waited for: each begins by reading the channel.
    /// Those before it have ended by then. `seen` is how many had begun before; gives how many have now.
    ///
    /// # Panics
    /// When none comes. Have something happen that the operator watches.
    pub async fn pass(&self, namespace: &str, name: &str, seen: usize) -> usize {
        let begun = || {
            let requests = self.of_operators(namespace);
            let reads = requests.iter().filter(|request| {
                request.verb() == "get" && request.object() == ("realtimechannels", name)
            });
            reads.count()
        };
        within(("a pass of", name), WRITTEN, async {
            while begun() <= seen {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            begun()
        })
        .await
    }
}

impl Request {
    /// Such as `get` or `patch`.
    #[must_use]
    pub fn verb(&self) -> &str {
        self.0["verb"].as_str().unwrap_or_default()
    }

    /// Such as `deployments`.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.0["objectRef"]["resource"].as_str().unwrap_or_default()
    }

    /// Resource and name.
    #[must_use]
    pub fn object(&self) -> (&str, &str) {
        let name = self.0["objectRef"]["name"].as_str().unwrap_or_default();
        (self.resource(), name)
    }

    /// Where; empty for what lies in no namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0["objectRef"]["namespace"]
            .as_str()
            .unwrap_or_default()
    }

    /// The pod whose ServiceAccount asked; empty where nobody knows.
    #[must_use]
    pub fn pod(&self) -> &str {
        let pod = &self.0["user"]["extra"]["authentication.kubernetes.io/pod-name"][0];
        pod.as_str().unwrap_or_default()
    }

    /// When it came, RFC 3339 in UTC: such texts sort by time.
    #[must_use]
    pub fn at(&self) -> &str {
        self.0["requestReceivedTimestamp"]
            .as_str()
            .unwrap_or_default()
    }

    /// Whether it changes something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        WRITES.contains(&self.verb())
    }

    fn is_of_an_operator(&self) -> bool {
        let user = self.0["user"]["username"].as_str().unwrap_or_default();
        user.starts_with("system:serviceaccount:") && user.ends_with("-operator")
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (resource, name) = self.object();
        let sub = self.0["objectRef"]["subresource"]
            .as_str()
            .unwrap_or_default();
        write!(
            f,
            "{} {} {resource}/{name} {sub} by {}",
            self.at(),
            self.verb(),
            self.pod()
        )
    }
}

/// Requests as lines, for messages of failures.
#[must_use]
pub fn lines(requests: &[Request]) -> String {
    let lines: Vec<_> = requests.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
