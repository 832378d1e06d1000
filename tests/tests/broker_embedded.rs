//! The broker of one process does what every broker does.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_gateway::broker::embedded::Embedded;
use linnet_gateway::config::Channel;
use linnet_tests::Manifest;
use linnet_tests::conformance::{Factory, Started};

struct InOneProcess;

impl Factory for InOneProcess {
    const STORES: bool = false;

    async fn start(&self, manifest: &Manifest) -> Started {
        let channel = Channel::compile(&manifest.parsed());
        Started {
            broker: Box::new(Embedded::new(&channel)),
            keep: Box::new(()),
        }
    }
}

linnet_tests::broker_conformance!(InOneProcess);
