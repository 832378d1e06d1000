//! The upgrade (RFC 6455 §4) as the load generator asks for it and the references grant it.

/// The sample key of RFC 6455 §1.3. Keys are only there to detect caches, so all our connections may share one;
/// the reference servers then need no SHA-1 and stay as bare as they can be.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a server must answer to [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The request for `path` (query included), offering `subprotocol`.
pub fn request(host: &str, path: &str, subprotocol: Option<&str>) -> Vec<u8> {
    let offer = subprotocol
        .map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"))
        .unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    )
    .into_bytes()
}

/// The answer of a reference server, filled up to `length` bytes where that is longer than the bare answer.
pub fn response(length: usize) -> Vec<u8> {
    let bare = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n"
    );
    let missing = length.saturating_sub(bare.len() + 2);
    let filler = match missing.checked_sub("x: \r\n".len()) {
        Some(value) => format!("x: {}\r\n", "-".repeat(value)),
        None => String::new(),
    };
    format!("{bare}{filler}\r\n").into_bytes()
}

/// Length of the head at the start of `bytes` once it is complete.
pub fn head_len(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// Whether `head` grants the upgrade; the error is what a person wants to see instead.
pub fn check(head: &[u8]) -> Result<(), String> {
    let head = String::from_utf8_lossy(head);
    let accepted = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| {
            name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT
        });
    if head.starts_with("HTTP/1.1 101 ") && accepted {
        Ok(())
    } else {
        Err(format!(
            "upgrade refused: {}",
            head.lines().next().unwrap_or_default()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_can_be_made_as_long_as_another_server_s() {
        let bare = response(0).len();
        for length in [bare, bare + 5, bare + 60] {
            let head = response(length);
            assert_eq!((head.len(), head_len(&head)), (length, Some(length)));
            assert_eq!(check(&head), Ok(()));
        }
    }

    #[test]
    fn a_refusal_is_reported_with_its_status_line() {
        let refused = check(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
        assert_eq!(
            refused,
            Err("upgrade refused: HTTP/1.1 503 Service Unavailable".to_owned())
        );
        assert!(
            check(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").is_err(),
            "a missing accept key is no upgrade"
        );
    }

    #[test]
    fn a_head_ends_at_the_empty_line_and_not_before() {
        assert_eq!(head_len(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(head_len(b"A\r\n\r\n\x81"), Some(5));
    }
}
