//! The broker over NATS does what every broker does.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::sync::Arc;

use linnet_gateway::broker::Broker;
use linnet_gateway::broker::nats::health::Health;
use linnet_gateway::broker::nats::{Nats, Settings};
use linnet_gateway::config::Channel;
use linnet_tests::conformance::{Factory, Started, positions};
use linnet_tests::{Manifest, NatsServer, scenario};

struct OverNats;

impl Factory for OverNats {
    const STORES: bool = true;

    async fn start(&self, manifest: &Manifest) -> Started {
        let server = NatsServer::jetstream().await;
        let manifest = manifest.clone().nats(&[server.url()]);
        let channel = Arc::new(Channel::compile(&manifest.parsed()));
        Started {
            broker: broker(channel).await,
            keep: Box::new(server),
        }
    }
}

/// The gateway's broker for `channel`, which creates its stream.
async fn broker(channel: Arc<Channel>) -> Box<dyn Broker> {
    let settings = Settings {
        prefix: "linnet".into(),
        gateway: "conformance".into(),
        secrets: None,
        create_stream: true,
    };
    let health = Arc::new(Health::new(
        channel.history.map_or(1, |history| history.partitions),
    ));
    let spec = channel.nats.clone().unwrap();
    let broker = Nats::start(&channel, &spec, &settings, health).await;
    Box::new(broker.unwrap())
}

linnet_tests::broker_conformance!(OverNats);

#[test]
fn rooms_are_spread_over_the_partitions() {
    scenario(
        60,
        positions::rooms_are_spread_over_the_partitions(&OverNats),
    );
}
