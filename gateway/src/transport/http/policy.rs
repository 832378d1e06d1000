//! What the channel says about handshakes, compiled once for every configuration.

use std::sync::{Arc, LazyLock};

use crate::config::Channel;
use crate::protocol::{Handshake, PROTOCOLS};
use crate::transport::address::network::Networks;
use crate::transport::websocket::handshake::{Config, Subprotocol};
use crate::transport::websocket::origin::Origins;

/// The protocols as the handshake needs them, in the order of [`PROTOCOLS`].
static SUBPROTOCOLS: LazyLock<Vec<Subprotocol>> = LazyLock::new(|| {
    let subprotocol = |protocol: &&dyn crate::protocol::Protocol| {
        let in_a_room = Handshake {
            room: crate::names::RoomName::parse("room").ok(),
            echo: true,
        };
        Subprotocol {
            name: protocol.subprotocol(),
            short: protocol.short_name(),
            // A protocol that joins the handshake's room has no other way to join one.
            needs_room: protocol.first_request(&in_a_room).is_some(),
        }
    };
    PROTOCOLS.iter().map(subprotocol).collect()
});

/// The configuration in force, as the public port uses it.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) channel: Arc<Channel>,
    pub(super) origins: Origins,
    /// Networks of the proxies that are believed.
    pub(super) trusted: Networks,
}

impl Policy {
    pub(super) fn compile(channel: Arc<Channel>) -> Self {
        let allowed = channel.allowed_origins.iter().map(String::as_str);
        Self {
            origins: Origins::compile(allowed),
            trusted: Networks::compile(&channel.trusted_proxies),
            channel,
        }
    }

    /// Whether a client of this protocol can send a token after the handshake.
    pub(super) fn can_connect(&self, protocol: usize) -> bool {
        // One that lives in the handshake's room knows no requests.
        SUBPROTOCOLS
            .get(protocol)
            .is_some_and(|protocol| !protocol.needs_room)
    }

    /// What a handshake is judged by.
    pub(super) fn handshake(&self) -> Config<'_> {
        Config {
            protocols: &SUBPROTOCOLS,
            allowed_origins: &self.origins,
            query_token: self.channel.query_token,
            compression: self.channel.compression,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_protocol_needs_a_room_and_the_json_one_is_the_default() {
        let needs: Vec<_> = SUBPROTOCOLS
            .iter()
            .map(|protocol| (protocol.short, protocol.needs_room))
            .collect();
        assert_eq!(needs, [("json", false), ("plain", true)]);
    }
}
