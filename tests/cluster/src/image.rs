//! Images of the gateway.

use std::env;

/// The tag of the images under test.
#[must_use]
pub fn tag() -> String {
    env::var("LINNET_IMAGE_TAG").unwrap_or_else(|_| "dev".into())
}

/// A gateway that was built before `limits.connectsPerSecondPerAddress` was there, as far as it can tell: see
/// `tests/cluster/images`.
#[must_use]
pub fn older() -> String {
    format!("linnet-gateway:{}-older", tag())
}

/// The gateway's next image: the same program, and other bytes around it.
#[must_use]
pub fn next() -> String {
    format!("linnet-gateway:{}-next", tag())
}
