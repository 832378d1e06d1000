//! What proxies say of their clients: the PROXY protocol and `X-Forwarded-For`.

use std::net::{IpAddr, Ipv4Addr};

use linnet_gateway::transport::address::forwarded;
use linnet_gateway::transport::address::network::Networks;
use linnet_gateway::transport::address::proxy::{Start, parse};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes as a socket's first, also behind the protocol's signature, and as a header's value.
pub fn run(data: &[u8]) {
    for bytes in [data.to_vec(), [SIGNATURE, data].concat()] {
        let start = parse(&bytes);
        if let Start::Header { length, .. } = start {
            assert!(length <= bytes.len());
            let more = [bytes.as_slice(), b"GET / HTTP/1.1"].concat();
            assert_eq!(parse(&more), start, "what comes after does not matter");
            assert!(matches!(parse(&bytes[..length - 1]), Start::Partial));
        }
    }
    let trusted = Networks::compile(&["10.0.0.0/8".into()]);
    let text = String::from_utf8_lossy(data);
    let stranger = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
    let proxy = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let values: Vec<&str> = text.lines().collect();
    let client = |peer| forwarded::client(peer, values.iter().copied(), &trusted);
    assert_eq!(client(stranger), stranger);
    let _ = client(proxy);
}
