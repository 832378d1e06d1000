//! Asks gateways, all at once and each no longer than the deadline.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use futures_util::StreamExt;
use http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::reading::{Missing, Reading, Readings};

/// Gateways that are asked at the same time.
const AT_ONCE: usize = 32;
/// Longest answer that is read, in bytes: the errors of a configuration may be many.
const LONGEST: usize = 256 * 1024;

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
    let unreachable = |error: &dyn std::fmt::Display| Missing::Unreachable(error.to_string());
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = http1::handshake::<_, Body>(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    let question = async {
        let request = Request::get("/status")
            .header(header::HOST, address.to_string())
            .header(header::CONNECTION, "close")
            .body(Body::empty())
            .map_err(|error| unreachable(&error))?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| unreachable(&error))?;
        if answer.status() != StatusCode::OK {
            return Err(Missing::Malformed(format!(
                "HTTP status {}",
                answer.status()
            )));
        }
        to_bytes(Body::new(answer.into_body()), LONGEST)
            .await
            .map_err(|error| Missing::Malformed(error.to_string()))
    };
    // The connection is driven for as long as the question lasts, and ends with it.
    tokio::pin!(question);
    let body = tokio::select! {
        body = &mut question => body?,
        driven = connection => match driven {
            Ok(()) => question.await?,
            Err(error) => return Err(unreachable(&error)),
        },
    };
    Reading::parse(pod, &body)
}
