//! Networks in CIDR notation (RFC 4632, RFC 4291 §2.3).

use std::net::IpAddr;

use super::key::unmapped;

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address's bits, from the highest down; those beyond the prefix are zero.
    bits: u128,
    mask: u128,
    v4: bool,
}

/// Some networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Network {
    /// Reads `address/length`; bits of the address beyond the length do not count.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let length: u32 = length.parse().ok()?;
        let (bits, width) = bits(address);
        if length > width {
            return None;
        }
        let mask = match length {
            0 => 0,
            _ => u128::MAX << (128 - length),
        };
        Some(Self {
            bits: bits & mask,
            mask,
            v4: address.is_ipv4(),
        })
    }

    fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.v4 && bits(address).0 & self.mask == self.bits
    }
}

impl Networks {
    /// Reads a list. What is no network is left out; a manifest that holds it was refused before.
    #[must_use]
    pub fn compile(texts: &[String]) -> Self {
        Self(
            texts
                .iter()
                .filter_map(|text| Network::parse(text))
                .collect(),
        )
    }

    /// Whether `address` is in one of them. An IPv4 address that is written as IPv6 counts as IPv4.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = unmapped(address);
        self.0.iter().any(|network| network.contains(address))
    }
}

/// Whether an address is of no public network, as those of proxies in front of a gateway are: RFC 1918, RFC 6598,
/// RFC 4193, link-local or this machine's own.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match unmapped(address) {
        IpAddr::V4(address) => {
            let shared = address.octets()[0] == 100 && address.octets()[1] & 0xC0 == 64;
            shared || address.is_private() || address.is_loopback() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}
