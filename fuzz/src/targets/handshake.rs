//! Opening handshakes: headers, query, origins.

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use linnet_gateway::transport::subprotocols::subprotocols;
use linnet_gateway::transport::websocket::handshake::{Config, PLAINEST, accept};
use linnet_gateway::transport::websocket::origin::{Origin, Origins};

/// The first line is the query; each further one is a header on top of those of the plainest handshake.
pub fn run(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let query = lines.next().map(String::from_utf8_lossy);
    let mut headers = HeaderMap::new();
    for (name, value) in PLAINEST {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    for line in lines.take(40) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let listed = Origins::compile(["https://app.example", "https://*.sub.example:8443"]);
    for origins in [&Origins::default(), &listed] {
        let config = Config {
            protocols: subprotocols(),
            allowed_origins: origins,
            query_token: true,
            compression: true,
        };
        match accept(&Method::GET, query.as_deref(), &headers, &config) {
            Ok(accepted) => {
                assert!(accepted.protocol < subprotocols().len());
                assert!(
                    accepted
                        .room
                        .is_none_or(|room| (1..=256).contains(&room.len()))
                );
                assert!(origin_may_connect(&headers, origins));
            }
            Err(refused) => {
                assert!(refused.status.is_client_error());
                assert!(!refused.body.is_empty());
            }
        }
    }
}

/// By another road than the handshake takes.
fn origin_may_connect(headers: &HeaderMap, origins: &Origins) -> bool {
    let mut given = headers.get_all("origin").iter();
    let (first, second) = (given.next(), given.next());
    let Some(first) = first else { return true };
    let origin = first
        .to_str()
        .ok()
        .and_then(|text| Origin::parse(text.trim()));
    let host = headers.get("host").and_then(|host| host.to_str().ok());
    second.is_none() && origin.is_some_and(|origin| origins.allow(&origin, host.map(str::trim)))
}
