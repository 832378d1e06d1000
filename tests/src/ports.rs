//! Ports that a server can come back to.

use std::net::{Ipv4Addr, TcpListener};

use rand::RngExt;

/// Below the range that Linux gives to outgoing connections (`ip_local_port_range`, from 32768): while a server is away,
/// no connection may take its port, least of all one that tries to reach it and so would reach itself.
const RANGE: std::ops::Range<u16> = 16_384..32_768;

/// A port of 127.0.0.1 that nobody listens on, for servers that are to be restarted on the same one. Others let the
/// system choose.
#[must_use]
pub fn lasting() -> u16 {
    let mut random = rand::rng();
    loop {
        let port = random.random_range(RANGE);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
