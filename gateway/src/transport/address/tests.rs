//! Addresses: whose they are, what counts as one, and what one may use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::addresses::{AddressLimits, Addresses, REMEMBERED, TooMany};
use super::client::Client;
use super::forwarded;
use super::key::Key;
use super::network::{Network, Networks, is_private};
use super::proxy::{self, Start};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn networks(texts: &[&str]) -> Networks {
    let texts: Vec<String> = texts.iter().map(|&text| text.into()).collect();
    Networks::compile(&texts)
}

#[test]
fn a_network_has_the_addresses_of_its_prefix() {
    let own = networks(&["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "fd00::1/64"]);
    for (address, expected) in [
        ("10.255.0.1", true),
        ("11.0.0.1", false),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("::ffff:10.1.2.3", true),
        ("2001:db8:1::1", true),
        ("2001:db9::1", false),
        ("fd00::ffff:1", true),
        ("::a00:1", false),
    ] {
        assert_eq!(own.contain(ip(address)), expected, "{address}");
    }
    assert!(networks(&["0.0.0.0/0"]).contain(ip("1.2.3.4")));
    assert!(!networks(&["0.0.0.0/0"]).contain(ip("::1")));
    assert!(!networks(&[]).contain(ip("1.2.3.4")));
    for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/-1"] {
        assert_eq!(Network::parse(text), None, "{text}");
    }
}

#[test]
fn the_client_is_the_rightmost_address_that_is_no_trusted_proxy() {
    let trusted = networks(&["10.0.0.0/8", "fd00::/8"]);
    for (peer, values, expected) in [
        ("203.0.113.5", vec!["1.1.1.1"], "203.0.113.5"),
        ("10.0.0.1", vec![], "10.0.0.1"),
        ("10.0.0.1", vec!["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", vec!["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (
            "10.0.0.1",
            vec!["6.6.6.6,203.0.113.9 , 10.0.0.2"],
            "203.0.113.9",
        ),
        (
            "10.0.0.1",
            vec!["6.6.6.6", "203.0.113.9", "10.0.0.2"],
            "203.0.113.9",
        ),
        ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", vec!["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", vec!["unknown"], "10.0.0.1"),
        ("10.0.0.1", vec![""], "10.0.0.1"),
        ("10.0.0.1", vec!["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", vec!["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", vec!["[2001:db8::1]"], "2001:db8::1"),
        ("::ffff:10.0.0.1", vec!["2001:db8::1"], "2001:db8::1"),
        ("fd00::7", vec!["203.0.113.9"], "203.0.113.9"),
    ] {
        let client = forwarded::client(ip(peer), values.iter().copied(), &trusted);
        assert_eq!(client, ip(expected), "{peer} {values:?}");
    }
}

#[test]
fn an_address_is_counted_by_its_v4_or_its_64_bits() {
    assert_eq!(Key::of(ip("1.2.3.4")), Key::of(ip("::ffff:1.2.3.4")));
    assert_ne!(Key::of(ip("1.2.3.4")), Key::of(ip("1.2.3.5")));
    assert_eq!(Key::of(ip("2001:db8::1")), Key::of(ip("2001:db8::ffff:2")));
    assert_ne!(Key::of(ip("2001:db8::1")), Key::of(ip("2001:db8:0:1::1")));
}

/// A header of the PROXY protocol.
fn header(version_and_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n".as_slice(),
        &[version_and_command, family],
        &length,
        body,
    ]
    .concat()
}

fn v4(more: &[u8]) -> Vec<u8> {
    let body = [&[203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x67, 0, 80], more].concat();
    header(0x21, 0x11, &body)
}

#[test]
fn a_proxys_header_tells_whom_it_speaks_for() {
    let source = Some("203.0.113.9:4711".parse().unwrap());
    let header_bytes = v4(&[]);
    let length = header_bytes.len();
    let with_request = [header_bytes, b"GET / HTTP/1.1".to_vec()].concat();
    assert_eq!(
        proxy::parse(&with_request),
        Start::Header { length, source }
    );
    let more = v4(&[4, 0, 1, 0]);
    let length = more.len();
    assert_eq!(proxy::parse(&more), Start::Header { length, source });
    let address: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let body = [&address.octets()[..], &[0; 16], &[0x12, 0x67, 0, 80]].concat();
    let six = header(0x21, 0x21, &body);
    let length = six.len();
    let source = Some("[2001:db8::1]:4711".parse().unwrap());
    assert_eq!(proxy::parse(&six), Start::Header { length, source });
}

#[test]
fn health_checks_and_unknown_families_speak_for_the_proxy_itself() {
    for bytes in [
        header(0x20, 0, &[]),
        header(0x21, 0, &[]),
        header(0x21, 0x31, &[0; 216]),
    ] {
        let length = bytes.len();
        let source = None;
        assert_eq!(proxy::parse(&bytes), Start::Header { length, source });
    }
}

#[test]
fn what_is_no_header_is_told_from_one_that_is_broken_and_one_that_is_not_complete() {
    assert_eq!(proxy::parse(b"GET / HTTP/1.1\r\n"), Start::Plain);
    assert_eq!(proxy::parse(b"\r\nGET / HTTP/1.1\r\n"), Start::Plain);
    assert_eq!(
        proxy::parse(b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"),
        Start::Plain
    );
    let whole = v4(&[]);
    for end in 0..whole.len() {
        assert_eq!(proxy::parse(&whole[..end]), Start::Partial, "{end}");
    }
    for bytes in [
        header(0x11, 0x11, &[0; 12]),
        header(0x22, 0x11, &[0; 12]),
        header(0x21, 0x11, &[0; 11]),
        header(0x21, 0x21, &[0; 35]),
        header(0x21, 0x11, &[0; 5000]),
    ] {
        assert_eq!(proxy::parse(&bytes), Start::Malformed);
    }
}

#[test]
fn an_address_has_as_many_connections_as_it_may_and_others_are_not_concerned() {
    let addresses = Arc::new(Addresses::new());
    let limits = AddressLimits {
        connections: Some(2),
        connects_per_second: None,
    };
    let now = Instant::now();
    let admit = |address| addresses.admit(ip(address), limits, now);
    let first = admit("1.1.1.1").unwrap();
    let _second = admit("1.1.1.1").unwrap();
    assert_eq!(admit("1.1.1.1").unwrap_err(), TooMany::Connections);
    let _other = admit("1.1.1.2").unwrap();
    drop(first);
    let _third = admit("1.1.1.1").unwrap();
    assert!(addresses.sit(ip("1.1.1.1"), 2).is_none());
    assert!(addresses.sit(ip("1.1.1.1"), 3).is_some());
}

#[test]
fn an_address_comes_as_often_as_it_may_and_is_told_when_to_come_again() {
    let addresses = Arc::new(Addresses::new());
    let limits = AddressLimits {
        connections: None,
        connects_per_second: Some(4),
    };
    let start = Instant::now();
    let admit = |address, after: u64| {
        let now = start + Duration::from_millis(after);
        addresses.admit(ip(address), limits, now).map(drop)
    };
    for _ in 0..4 {
        admit("1.1.1.1", 0).unwrap();
    }
    assert_eq!(
        admit("1.1.1.1", 0),
        Err(TooMany::Handshakes(Duration::from_millis(250)))
    );
    admit("1.1.1.2", 0).unwrap();
    let later = start + Duration::from_millis(250);
    for _ in 0..3 {
        assert_eq!(
            addresses.check(ip("1.1.1.1"), limits, later),
            Ok(()),
            "counts nothing"
        );
    }
    admit("1.1.1.1", 250).unwrap();
    assert!(addresses.check(ip("1.1.1.1"), limits, later).is_err());
}

#[test]
fn failures_of_an_address_make_it_wait_and_nobody_else() {
    let addresses = Arc::new(Addresses::new());
    let now = Instant::now();
    let bad = ip("2001:db8::1");
    while addresses.failed(bad, now).is_none() {}
    assert!(
        addresses.wait(ip("2001:db8::2"), now).is_some(),
        "the same /64"
    );
    assert_eq!(addresses.wait(ip("2001:db8:1::1"), now), None);
    let seat = addresses.admit(bad, AddressLimits::default(), now).unwrap();
    assert!(seat.wait(now).is_some());
    assert!(seat.failed(now).is_some());
}

#[test]
fn what_comes_through_a_proxy_that_is_not_listed_makes_nobody_wait() {
    let addresses = Arc::new(Addresses::new());
    let now = Instant::now();
    let crowd = Client {
        address: ip("10.0.0.1"),
        unlisted_proxy: true,
    };
    let limits = AddressLimits {
        connections: Some(1),
        connects_per_second: None,
    };
    let seat = addresses.admit(crowd, limits, now).unwrap();
    for _ in 0..100 {
        assert_eq!(addresses.failed(crowd, now), None);
        assert_eq!(seat.failed(now), None);
    }
    assert_eq!((addresses.wait(crowd, now), seat.wait(now)), (None, None));
    assert!(
        addresses.admit(crowd, limits, now).is_err(),
        "other limits of the address hold"
    );
}

#[test]
fn private_networks_are_those_that_nobody_on_the_internet_has() {
    for address in [
        "10.1.2.3",
        "172.31.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "100.127.255.1",
        "169.254.1.1",
        "127.0.0.1",
        "::ffff:10.0.0.1",
        "::1",
        "fd12::1",
        "fe80::1",
    ] {
        assert!(is_private(ip(address)), "{address}");
    }
    for address in [
        "203.0.113.9",
        "172.32.0.1",
        "100.128.0.1",
        "100.63.0.1",
        "2001:db8::1",
        "::ffff:1.1.1.1",
    ] {
        assert!(!is_private(ip(address)), "{address}");
    }
}

#[test]
fn memory_is_bounded_however_many_addresses_come() {
    let addresses = Arc::new(Addresses::new());
    let limits = AddressLimits {
        connections: Some(1),
        connects_per_second: Some(1),
    };
    let now = Instant::now();
    for n in 0..300_000u32 {
        let address = IpAddr::V4(Ipv4Addr::from(n));
        let _ = addresses.admit(address, limits, now).map(drop);
        let _ = addresses.failed(address, now);
    }
    let remembered = addresses.remembered();
    assert!(remembered <= REMEMBERED, "{remembered}");
    assert!(remembered >= REMEMBERED / 4, "{remembered}");
    let seats: usize = addresses.seats();
    assert_eq!(seats, 0, "none is left of who has gone");
}

proptest! {
    #[test]
    fn no_bytes_of_a_proxy_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = proxy::parse(&[b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &bytes].concat());
        let _ = proxy::parse(&bytes);
    }

    #[test]
    fn what_an_untrusted_client_writes_never_changes_who_it_is(values in prop::collection::vec(".{0,40}", 0..4)) {
        let trusted = networks(&["10.0.0.0/8"]);
        let client = ip("203.0.113.9");
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        prop_assert_eq!(forwarded::client(client, values.iter().copied(), &trusted), client);
        // Nor through a proxy that adds whom it heard.
        let seen = values.iter().copied().chain(["203.0.113.9"]).collect::<Vec<_>>();
        prop_assert_eq!(forwarded::client(ip("10.0.0.1"), seen.into_iter(), &trusted), client);
    }
}
