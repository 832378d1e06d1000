//! What the scenarios on NATS share: the names that gateways use there, and those of the references.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use tokio::runtime;

use crate::{
    load::Since,
    nats::{self, Way},
    process::NatsServer,
};

/// The stream that a gateway makes for the [`Channel`](super::manifest::Channel), where it has one partition.
pub(super) const GATEWAY_STREAM: &str = "linnet_default_bench";
const RELAY_STREAM: &str = "bench_relay";

/// The way of a bare relay, with a subject of as many tokens as the gateway's. With history it has a stream of the
/// configuration of the gateway's, which must have been made.
pub(super) fn relay_way(nats: &NatsServer, history: bool, room: &str) -> Result<Way> {
    let url = nats.url();
    if !history {
        return Ok(Way {
            url,
            subject: format!("bench.default.relay.live.0.r_{room}"),
            stream: None,
        });
    }
    let subjects = "bench.default.relay.history.0.*";
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(nats::copy_stream(
            &url,
            GATEWAY_STREAM,
            RELAY_STREAM,
            subjects,
        ))
        .context("cannot make a stream for the relay")?;
    Ok(Way {
        url,
        subject: format!("bench.default.relay.history.0.r_{room}"),
        stream: Some(RELAY_STREAM.to_owned()),
    })
}

/// The position of the last message in the gateway's stream, which has one partition: no room has any after it.
pub(super) fn position(nats: &NatsServer) -> Result<Since> {
    let url = nats.url();
    let info = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(nats::stream(&url, GATEWAY_STREAM))?;
    let epoch = info.config.metadata.get("linnet-epoch");
    Ok(Since {
        epoch: epoch.context("the stream has no epoch")?.clone(),
        offset: info.state.last_sequence,
    })
}

/// The subject under which a gateway stores a room whose name has letters, digits, `-` and `_` only
/// (`gateway/src/broker/nats/subjects.rs`).
pub(super) fn stored_subject(room: &str, partitions: u32) -> String {
    let hash = Sha256::digest(room);
    let number = hash[..8]
        .iter()
        .fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    let partition = number % u64::from(partitions);
    format!("linnet.default.bench.history.{partition}.r_{room}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_in_the_partitions_that_the_gateway_s_tests_name() {
        let of = |room| stored_subject(room, 8);
        assert_eq!(of("a"), "linnet.default.bench.history.2.r_a");
        assert_eq!(of("lobby"), "linnet.default.bench.history.2.r_lobby");
        assert!(stored_subject("a", 1).contains(".history.0."));
    }
}
