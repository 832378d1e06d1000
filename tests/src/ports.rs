//! Ports that a server can come back to.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::Mutex;

use rand::RngExt;

/// Below the range that Linux gives to outgoing connections (`ip_local_port_range`, from 32768): while a server is away,
/// no connection may take its port, least of all one that tries to reach it and so would reach itself.
const RANGE: std::ops::Range<u16> = 16_384..32_768;

/// What says to other tests, in other processes too, that a port is given away, also while its server is down: UDP has
/// ports of its own, and these are bound to the same numbers until the process ends.
static TAKEN: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A port of 127.0.0.1 that nobody listens on, for servers that are to be restarted on the same one; no other call gives
/// it, in whichever process. Others let the system choose.
///
/// # Panics
/// When another thread has panicked in here.
#[must_use]
pub fn lasting() -> u16 {
    let mut random = rand::rng();
    loop {
        let port = random.random_range(RANGE);
        let Ok(sign) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            TAKEN.lock().unwrap().push(sign);
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports: Vec<u16> = (0..200).map(|_| lasting()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 200);
    }
}
