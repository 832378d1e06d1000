//! What the channel says about handshakes, compiled once for every configuration.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::Channel;
use crate::transport::address::network::Networks;
use crate::transport::subprotocols::subprotocols;
use crate::transport::websocket::handshake::Config;
use crate::transport::websocket::origin::Origins;

/// The configuration in force, as the public port uses it.
#[derive(Debug)]
pub(in crate::transport) struct Policy {
    pub(super) channel: Arc<Channel>,
    pub(super) origins: Origins,
    /// Networks of the proxies that are believed.
    pub(super) trusted: Networks,
    /// Whether it was told that there is a proxy that is not among them.
    told_of_proxy: AtomicBool,
}

impl Policy {
    pub(super) fn compile(channel: Arc<Channel>) -> Self {
        let allowed = channel.allowed_origins.iter().map(String::as_str);
        Self {
            origins: Origins::compile(allowed),
            trusted: Networks::compile(&channel.trusted_proxies),
            channel,
            told_of_proxy: AtomicBool::new(false),
        }
    }

    /// The channel that this is compiled from.
    pub(in crate::transport) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// The pages that may come.
    pub(in crate::transport) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Says, once, that a proxy is not listed, and what it means.
    pub(super) fn tell_of_proxy(&self, proxy: IpAddr) {
        if self.told_of_proxy.load(Ordering::Relaxed)
            || self.told_of_proxy.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let length = if proxy.is_ipv4() { 32 } else { 128 };
        tracing::warn!(
            %proxy,
            "a proxy speaks for clients and is not listed: limits for each address count for all of them together, and \
             who sends bad tokens is not told apart; list it, or its network: spec.authentication.trustedProxies: \
             [\"{proxy}/{length}\"]"
        );
    }

    /// Whether a client of this protocol can send a token after the handshake.
    pub(in crate::transport) fn can_connect(&self, protocol: usize) -> bool {
        // One that lives in the handshake's room knows no requests.
        subprotocols()
            .get(protocol)
            .is_some_and(|protocol| !protocol.in_a_room)
    }

    /// What a handshake is judged by where these protocols are spoken.
    pub(super) fn handshake(&self, protocols: Range<usize>) -> Config<'_> {
        Config {
            protocols: &subprotocols()[protocols],
            allowed_origins: &self.origins,
            query_token: self.channel.query_token,
            compression: self.channel.compression,
        }
    }
}
