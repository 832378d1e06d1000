//! What the channel says about handshakes, compiled once for every configuration.

use std::sync::Arc;

use crate::config::Channel;
use crate::transport::address::network::Networks;
use crate::transport::subprotocols::subprotocols;
use crate::transport::websocket::handshake::Config;
use crate::transport::websocket::origin::Origins;

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
        subprotocols()
            .get(protocol)
            .is_some_and(|protocol| !protocol.needs_room)
    }

    /// What a handshake is judged by.
    pub(super) fn handshake(&self) -> Config<'_> {
        Config {
            protocols: subprotocols(),
            allowed_origins: &self.origins,
            query_token: self.channel.query_token,
            compression: self.channel.compression,
        }
    }
}
