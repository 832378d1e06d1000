//! A tiny HTTP/1.1 client: one request, one connection. Enough to ask a gateway how it is.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::{STEP, within};

/// An HTTP answer, its header names in lower case.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Header lines in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// The first header called `name` (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// Whether the body has the length that was announced. Without one (chunks too), the end of the stream tells.
    fn is_whole(&self) -> bool {
        let length = self
            .header("content-length")
            .and_then(|length| length.parse().ok());
        length.is_some_and(|length: usize| self.body.len() >= length)
    }

    /// Reads one from the bytes of a whole response; `None` when the head is not complete.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let chunked = headers
            .iter()
            .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if chunked {
            unchunk(body)
        } else {
            body.to_owned()
        };
        Some(Self {
            status,
            headers,
            body,
        })
    }
}

/// Joins the chunks of a body with `Transfer-Encoding: chunked`.
fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}

/// `GET path`, with `Connection: close`.
///
/// # Panics
/// When the server can't be reached or does not answer in time.
pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    send(addr, request.as_bytes()).await
}

/// `POST path` with a body, these header lines and `Connection: close`.
///
/// # Panics
/// When the server can't be reached or does not answer in time.
pub async fn post(addr: SocketAddr, path: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    send(addr, request.as_bytes()).await
}

/// Sends `request` as it is and reads one answer, whether or not the server closes after it.
///
/// # Panics
/// When the server can't be reached or does not answer in time.
pub async fn send(addr: SocketAddr, request: &[u8]) -> Answer {
    let stream = within(("a connection to", addr), STEP, TcpStream::connect(addr)).await;
    send_over(stream.unwrap(), request).await
}

/// [`send`] over a connection that stands.
///
/// # Panics
/// When the server does not answer in time.
pub async fn send_over(mut stream: TcpStream, request: &[u8]) -> Answer {
    let exchange = async {
        stream.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        // A reset after the answer is as good as an orderly end here.
        while !Answer::parse(&bytes).is_some_and(|answer| answer.is_whole())
            && stream
                .read_buf(&mut bytes)
                .await
                .is_ok_and(|count| count > 0)
        {}
        bytes
    };
    let bytes = within("an HTTP answer", STEP, exchange).await;
    Answer::parse(&bytes)
        .unwrap_or_else(|| panic!("no HTTP answer: {:?}", String::from_utf8_lossy(&bytes)))
}
