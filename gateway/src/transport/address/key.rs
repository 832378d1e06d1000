//! What counts as one address.

use std::net::{IpAddr, Ipv6Addr};

/// One client's address for counting: an IPv4 address, or the /64 of an IPv6 one, which is what a single subscriber has
/// at least (RFC 6177): counted whole, everyone would have 2^64 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(IpAddr);

impl Key {
    /// The key of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match unmapped(address) {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
            }
        })
    }
}

/// The address, as IPv4 where it is that in the clothes of IPv6, as a socket for both gives it.
#[must_use]
pub fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
