//! Asks gateways, all at once and each no longer than the deadline.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use http::Request;
use tokio::time::timeout;

use super::exchange::exchange;
use super::reading::{Missing, Reading, Readings};

/// Gateways that are asked at the same time.
const AT_ONCE: usize = 32;

/// A gateway to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name of the pod.
    pub pod: String,
    /// Its address, once it has one.
    pub address: Option<IpAddr>,
}

/// Asks all `targets` on their internal `port`; each has `limit` to answer.
pub async fn poll(targets: Vec<Target>, port: u16, limit: Duration) -> Readings {
    let asked = targets.into_iter().map(|target| async move {
        let answer = match target.address {
            None => Err(Missing::NoAddress),
            Some(address) => {
                let address = SocketAddr::new(address, port);
                match timeout(limit, ask(&target.pod, address)).await {
                    Ok(answer) => answer,
                    Err(_) => Err(Missing::TimedOut),
                }
            }
        };
        (target.pod, answer)
    });
    futures_util::stream::iter(asked)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

async fn ask(pod: &str, address: SocketAddr) -> Result<Reading, Missing> {
    let request = Request::get("/status")
        .body(Body::empty())
        .map_err(|error| Missing::Unreachable(error.to_string()))?;
    let body = exchange(address, request).await?;
    Reading::parse(pod, &body)
}
