//! A gateway's broker without its gateway.

use std::sync::Arc;

use linnet_gateway::broker::nats::health::Health;
use linnet_gateway::broker::nats::{Nats, Settings};
use linnet_gateway::config::Channel;

use crate::manifest::Manifest;

/// Starts the broker of the channel of `manifest`, which makes its streams, on the runtime of the caller.
///
/// # Panics
/// When it can't be started.
pub async fn broker(manifest: &Manifest) -> Nats {
    let channel = Arc::new(Channel::compile(&manifest.parsed()));
    let settings = Settings {
        prefix: "linnet".into(),
        gateway: "test".into(),
        secrets: None,
        create_stream: true,
    };
    let partitions = channel.history.map_or(1, |history| history.partitions);
    let health = Arc::new(Health::new(partitions));
    let spec = channel.nats.clone().unwrap();
    Nats::start(&channel, &spec, &settings, health)
        .await
        .unwrap()
}
