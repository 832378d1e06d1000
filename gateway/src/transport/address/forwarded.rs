//! `X-Forwarded-For`: who a proxy says that it speaks for.

use std::net::{IpAddr, SocketAddr};

use super::network::Networks;

/// The client behind `peer`, given the values of all `X-Forwarded-For` headers in order.
///
/// Each proxy adds at the right whom it heard, so the rightmost address that is not of a trusted proxy is the last that
/// somebody trusted has seen; whatever stands left of it, the client may have written itself. Where `peer` is not
/// trusted the header is not looked at. An entry that is no address ends the search: who is beyond it nobody can tell.
#[must_use]
pub fn client<'a>(
    peer: IpAddr,
    values: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &Networks,
) -> IpAddr {
    let mut client = peer;
    let entries = values.rev().flat_map(|value| value.rsplit(','));
    for entry in entries {
        if !trusted.contain(client) {
            break;
        }
        match address(entry.trim()) {
            Some(before) => client = before,
            None => break,
        }
    }
    client
}

/// An address, with or without a port, as proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let parsed = bare.unwrap_or(text).parse::<IpAddr>();
    parsed
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}
