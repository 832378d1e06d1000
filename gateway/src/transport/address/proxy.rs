//! The PROXY protocol, version 2: what a proxy that does not speak HTTP sends before the client's own bytes
//! (haproxy's `doc/proxy-protocol.txt`, section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with. No request of HTTP does.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes before those whose number they tell.
const FIXED: usize = 16;

/// Longest header that is read. The protocol allows 64 KiB of additions; what proxies send has some hundred bytes.
const MOST: usize = 4096;

/// What the first bytes of a socket are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// No header: the client's own.
    Plain,
    /// A header may be there; more bytes tell.
    Partial,
    /// A header.
    Header {
        /// Its bytes; the client's own come after them.
        length: usize,
        /// Whom the proxy speaks for; `None`: for itself, or for something without an address.
        source: Option<SocketAddr>,
    },
    /// It begins as a header and is none, or is too long.
    Malformed,
}

/// Looks at the first bytes of a socket.
#[must_use]
pub fn parse(bytes: &[u8]) -> Start {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Start::Plain;
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else {
        return Start::Partial;
    };
    let [.., version_and_command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if version_and_command >> 4 != 2 || FIXED + length > MOST {
        return Start::Malformed;
    }
    let Some(body) = rest.get(..length) else {
        return Start::Partial;
    };
    let source = match (version_and_command & 0x0F, family) {
        // LOCAL: the proxy's own, a health check.
        (0, _) => Ok(None),
        (1, 0x11 | 0x12) => v4(body).map(Some).ok_or(()),
        (1, 0x21 | 0x22) => v6(body).map(Some).ok_or(()),
        // Of a family without internet addresses, or one that is not known: to be passed over.
        (1, _) => Ok(None),
        _ => Err(()),
    };
    match source {
        Ok(source) => Start::Header {
            length: FIXED + length,
            source,
        },
        Err(()) => Start::Malformed,
    }
}

/// Source and destination address, source and destination port.
fn v4(body: &[u8]) -> Option<SocketAddr> {
    let (address, rest) = body.split_first_chunk::<4>()?;
    let port = rest.get(4..8)?.first_chunk::<2>()?;
    let address = IpAddr::V4(Ipv4Addr::from(*address));
    Some(SocketAddr::new(address, u16::from_be_bytes(*port)))
}

fn v6(body: &[u8]) -> Option<SocketAddr> {
    let (address, rest) = body.split_first_chunk::<16>()?;
    let port = rest.get(16..20)?.first_chunk::<2>()?;
    let address = IpAddr::V6(Ipv6Addr::from(*address));
    Some(SocketAddr::new(address, u16::from_be_bytes(*port)))
}
