//! Has a gateway move some of its connections away.

use std::net::SocketAddr;

use axum::body::Body;
use http::{Request, header};
use serde_json::json;

use super::exchange::exchange;
use super::reading::Missing;

/// Has the gateway at `address` keep `keep` connections, and tell the others within `seconds` to go.
///
/// # Errors
/// When it can't be reached or does not do it, as one of a version that does not know how.
pub async fn thin(address: SocketAddr, keep: u32, seconds: u64) -> Result<(), Missing> {
    let asked = json!({"keep": keep, "windowSeconds": seconds}).to_string();
    let request = Request::post("/rebalance")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(asked))
        .map_err(|error| Missing::Unreachable(error.to_string()))?;
    exchange(address, request).await.map(drop)
}
