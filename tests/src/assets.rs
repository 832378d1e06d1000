//! A channel's streams as the operator keeps them on a NATS server.

use async_nats::jetstream::stream;
use linnet_crds::RealtimeChannel;
use linnet_gateway::config::Channel;
use linnet_operator::assets::{
    AssetError, BrokerError, Brokers, Deleted, Keeper, Kept, Plan, Secrets,
};
use serde_json::{Value, json};

use crate::nats::NatsServer;

/// The stream of [`Scene`].
pub const STREAM: &str = "linnet_shop_chat";
/// Its bucket of presence, as a stream.
pub const BUCKET: &str = "KV_linnet_shop_chat_presence";

/// A channel on a server of its own, as the operator sees both.
#[derive(Debug)]
pub struct Scene {
    /// The server.
    pub server: NatsServer,
    /// The operator's connections.
    pub brokers: Brokers,
    /// The Secrets that it has read.
    pub secrets: Secrets,
    /// The channel.
    pub manifest: Value,
}

impl Scene {
    /// A channel with this history on a new server with JetStream.
    pub async fn new(history: Value) -> Self {
        Self::on(NatsServer::jetstream().await, history)
    }

    /// A channel with this history on `server`.
    #[must_use]
    pub fn on(server: NatsServer, history: Value) -> Self {
        let manifest = json!({
            "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
            "metadata": {"name": "chat", "namespace": "shop"},
            "spec": {"broker": {"nats": {"urls": [server.url()]}}, "history": history},
        });
        Self {
            server,
            brokers: Brokers::new(),
            secrets: Secrets::new(),
            manifest,
        }
    }

    /// The channel as the gateway and the operator have it.
    ///
    /// # Panics
    /// When the manifest is none.
    #[must_use]
    pub fn channel(&self) -> Channel {
        let manifest: RealtimeChannel = serde_json::from_value(self.manifest.clone()).unwrap();
        Channel::compile(&manifest)
    }

    /// What the operator wants on the server.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::of("linnet", &self.channel())
    }

    /// Makes what is missing and puts right what differs.
    ///
    /// # Errors
    /// As the operator tells them.
    ///
    /// # Panics
    /// When the server is not there.
    pub async fn keep(&self) -> Result<Kept, AssetError> {
        let nats = self.channel().nats.unwrap();
        let broker = self.brokers.get(&nats, &self.secrets).await.unwrap();
        Keeper::new(&broker, &self.plan()).keep().await
    }

    /// Deletes what is the channel's.
    ///
    /// # Panics
    /// When that does not go.
    pub async fn delete(&self) -> Deleted {
        let nats = self.channel().nats.unwrap();
        let broker = self.brokers.get(&nats, &self.secrets).await.unwrap();
        Keeper::new(&broker, &self.plan()).delete().await.unwrap()
    }

    /// Connects, or finds the connection that there is.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Panics
    /// When the channel names no server.
    pub async fn broker(&self) -> Result<(), BrokerError> {
        let nats = self.channel().nats.unwrap();
        self.brokers.get(&nats, &self.secrets).await.map(drop)
    }

    /// Sets a field of its history.
    pub fn set(&mut self, field: &str, value: Value) {
        self.manifest["spec"]["history"][field] = value;
    }

    /// What the server says of a stream; `None` if it is not there.
    pub async fn config(&self, stream: &str) -> Option<stream::Config> {
        let streams = self.server.streams().await;
        let found = streams.get_stream(stream).await.ok()?;
        Some(found.cached_info().config.clone())
    }

    /// Changes a stream as people do with `nats stream edit`.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn edit(&self, edit: impl FnOnce(&mut stream::Config)) {
        let mut config = self.config(STREAM).await.unwrap();
        edit(&mut config);
        self.server
            .streams()
            .await
            .update_stream(config)
            .await
            .unwrap();
    }
}
