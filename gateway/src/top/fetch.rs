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

/// Asks one gateway, with an API key where it is elsewhere.
///
/// # Errors
/// When it does not answer, or not as a gateway does.
pub(super) fn ask(address: SocketAddr, most: usize, key: Option<&str>) -> io::Result<Answer> {
    let json = |path: &str| -> io::Result<Value> {
        let body = get(address, path, key)?;
        serde_json::from_str(&body).map_err(io::Error::other)
    };
    Ok(Answer {
        status: json("/status")?,
        top: json(&format!("/top?limit={most}"))?,
        metrics: read_exposition(&get(address, "/metrics", None)?),
        at: Instant::now(),
    })
}

fn get(address: SocketAddr, path: &str, key: Option<&str>) -> io::Result<String> {
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n"));
    let key = key.unwrap_or_default();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0, so that the body ends with the connection and never comes in chunks.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\n{key}\r\n"
    )?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let broken = || io::Error::other("this is no gateway's internal port");
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(broken)?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        Some("401" | "403") => Err(io::Error::other(format!(
            "{}: name a key with the scope inspect by --key-file",
            body.trim_end()
        ))),
        Some(code) => Err(io::Error::other(format!("{path} answered {code}"))),
        None => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead as _;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one request with a status line and a body; gives the request's lines.
    fn answering(
        status: &'static str,
        body: &'static str,
    ) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = io::BufReader::new(stream.try_clone().unwrap()).lines();
            let lines = lines
                .map(Result::unwrap)
                .take_while(|line| !line.is_empty());
            let heard = lines.collect();
            write!(stream, "HTTP/1.0 {status}\r\n\r\n{body}").unwrap();
            heard
        });
        (address, heard)
    }

    #[test]
    fn a_key_goes_along_where_there_is_one_and_a_refusal_says_how_to_name_one() {
        let (address, heard) = answering("200 OK", "{}");
        assert_eq!(get(address, "/top", Some("k3y")).unwrap(), "{}");
        let heard = heard.join().unwrap();
        assert!(
            heard.contains(&"Authorization: Bearer k3y".to_owned()),
            "{heard:?}"
        );

        let (address, heard) = answering("401 Unauthorized", "an API key is needed\n");
        let refused = get(address, "/top", None).unwrap_err().to_string();
        assert_eq!(
            refused,
            "an API key is needed: name a key with the scope inspect by --key-file"
        );
        assert!(!heard.join().unwrap().join(" ").contains("Authorization"));
    }
}
