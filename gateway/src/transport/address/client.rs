//! Who a request is from, as far as can be told.

use std::net::IpAddr;

/// Who a request is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Whether that is, by all signs, a proxy's that nobody has listed: what one client does must not be held against all
    /// that come through it.
    pub unlisted_proxy: bool,
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        Self {
            address,
            unlisted_proxy: false,
        }
    }
}
