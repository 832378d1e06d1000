//! The broker over NATS does what every broker does.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::conformance::{Factory, Started, positions};
use linnet_tests::nats::broker;
use linnet_tests::{Manifest, NatsServer, scenario};

struct OverNats;

impl Factory for OverNats {
    const STORES: bool = true;

    async fn start(&self, manifest: &Manifest) -> Started {
        let server = NatsServer::jetstream().await;
        let manifest = manifest.clone().nats(&[server.url()]);
        Started {
            broker: Box::new(broker(&manifest).await),
            keep: Box::new(server),
        }
    }
}

linnet_tests::broker_conformance!(OverNats);

#[test]
fn rooms_are_spread_over_the_partitions() {
    scenario(
        60,
        positions::rooms_are_spread_over_the_partitions(&OverNats),
    );
}
