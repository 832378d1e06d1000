//! Three servers that keep streams together.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, StorageType};

use super::server::{self, NatsServer};
use crate::ports;
use crate::wait::until;

/// How many servers a cluster has: streams of three replicas are on all of them.
const NODES: usize = 3;

/// A JetStream cluster of three servers, `n0` to `n2`.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts a cluster and awaits that it can create streams.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// [`Self::start`] with more lines in each server's JetStream block (`max_file: 1M`).
    pub async fn start_with(limits: &str) -> Self {
        let routes: Vec<u16> = (0..NODES).map(|_| ports::lasting()).collect();
        let urls: Vec<String> = routes
            .iter()
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect();
        let urls = urls.join(", ");
        let node = |(number, route)| {
            let mut node = NatsServer::prepare(ports::lasting(), "");
            let cluster = format!(
                "server_name: n{number}\n\
                 cluster {{name: tests, listen: \"127.0.0.1:{route}\", routes: [{urls}]}}"
            );
            node.configure(node.with_store(limits, &cluster));
            node.spawn();
            node
        };
        let mut cluster = Self {
            nodes: routes.iter().enumerate().map(node).collect(),
        };
        for node in &mut cluster.nodes {
            node.ready().await;
        }
        cluster.takes_streams().await;
        cluster
    }

    /// Awaits that a stream of as many replicas as there are servers can be created: two of them alone have a leader too.
    async fn takes_streams(&self) {
        let mut streams = self.streams().await;
        streams.set_timeout(Duration::from_secs(2));
        let streams = &streams;
        until("a stream on all servers", || async move {
            let probe = Config {
                name: "probe".into(),
                storage: StorageType::Memory,
                num_replicas: NODES,
                ..Config::default()
            };
            streams.get_or_create_stream(probe).await.ok().map(drop)
        })
        .await;
        until("the end of that stream", || async move {
            match streams.delete_stream("probe").await {
                Ok(_) => Some(()),
                // A try before has ended it, and was not answered in time.
                Err(error) => error.to_string().contains("not found").then_some(()),
            }
        })
        .await;
    }

    /// Where clients connect: every server, the running and the others.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(NatsServer::url).collect()
    }

    /// Server `n<number>`.
    #[must_use]
    pub fn node(&self, number: usize) -> &NatsServer {
        &self.nodes[number]
    }

    /// Server `n<number>`, to kill and start it.
    #[must_use]
    pub fn node_mut(&mut self, number: usize) -> &mut NatsServer {
        &mut self.nodes[number]
    }

    /// A client of the test's own, on any server that runs.
    pub async fn client(&self) -> async_nats::Client {
        server::client(&self.urls(), async_nats::ConnectOptions::new()).await
    }

    /// Streams as a client of the test's own sees them.
    pub async fn streams(&self) -> jetstream::Context {
        jetstream::new(self.client().await)
    }

    /// The number of the server that leads `stream`, once one does.
    pub async fn leader(&self, stream: &str) -> usize {
        self.watch(stream, |info| {
            let leader = info.leader.as_ref()?.strip_prefix('n')?;
            leader.parse().ok()
        })
        .await
    }

    /// Awaits that `stream` has a leader and that all its other replicas have what the leader has.
    pub async fn in_step(&self, stream: &str) {
        self.watch(stream, |info| {
            let replicas = &info.replicas;
            let whole = replicas.len() == NODES - 1;
            let current = |peer: &jetstream::stream::PeerInfo| peer.current && !peer.offline;
            (info.leader.is_some() && whole && replicas.iter().all(current)).then_some(())
        })
        .await;
    }

    async fn watch<T>(
        &self,
        stream: &str,
        test: impl Fn(&jetstream::stream::ClusterInfo) -> Option<T>,
    ) -> T {
        let mut streams = self.streams().await;
        streams.set_timeout(Duration::from_millis(500));
        let (streams, test) = (&streams, &test);
        until(("the cluster of", stream), || async move {
            let stream = streams.get_stream(stream).await.ok()?;
            test(stream.cached_info().cluster.as_ref()?)
        })
        .await
    }

    /// Kills the server that leads `stream` with SIGKILL; gives its number.
    pub async fn kill_leader(&mut self, stream: &str) -> usize {
        let leader = self.leader(stream).await;
        self.nodes[leader].kill().await;
        leader
    }
}
