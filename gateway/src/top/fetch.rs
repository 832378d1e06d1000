//! Asks internal ports how their gateways are.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use linnet_telemetry::metric::{Metric, read_exposition};
use serde_json::Value;

/// How long a gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer that is read.
const ANSWER_BYTES: u64 = 4 << 20;

/// What one gateway said.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// When.
    pub(super) at: Instant,
    /// `/status`.
    pub(super) status: Value,
    /// `/metrics`.
    pub(super) metrics: Vec<Metric>,
    /// `/top`.
    pub(super) top: Value,
}

/// Who is behind names.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// Gateways: a headless Service has an address for each.
    pub(super) gateways: Vec<SocketAddr>,
    /// Names that are not known now, each with what was said of it.
    pub(super) unknown: Vec<(String, String)>,
}

/// Looks names up.
pub(super) fn resolve(names: &[String]) -> Resolved {
    let mut all = Resolved::default();
    for name in names {
        let named = name.strip_prefix("http://").unwrap_or(name);
        let named = named.trim_end_matches('/');
        match named.to_socket_addrs() {
            Ok(addresses) => all.gateways.extend(addresses),
            Err(error) => {
                let why = format!("{error}; expected HOST:PORT");
                all.unknown.push((name.clone(), why));
            }
        }
    }
    all.gateways.sort();
    all.gateways.dedup();
    all
}

/// Asks one gateway.
///
/// # Errors
/// When it does not answer, or not as a gateway does.
pub(super) fn ask(address: SocketAddr, most: usize) -> io::Result<Answer> {
    let json = |path: &str| -> io::Result<Value> {
        let body = get(address, path)?;
        serde_json::from_str(&body).map_err(io::Error::other)
    };
    Ok(Answer {
        status: json("/status")?,
        top: json(&format!("/top?limit={most}"))?,
        metrics: read_exposition(&get(address, "/metrics")?),
        at: Instant::now(),
    })
}

fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0, so that the body ends with the connection and never comes in chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let broken = || io::Error::other("this is no gateway's internal port");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some(code) => Err(io::Error::other(format!("{path} answered {code}"))),
        None => Err(broken()),
    }
}
