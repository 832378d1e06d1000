//! The first connection that a channel accepts.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two tries. A Service without a pod refuses at once.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a try may take.
const TRY: Duration = Duration::from_millis(500);

const REQUEST: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: channel\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: linnet.v1.json\r\n\r\n";

/// Tries to open a WebSocket at port 80 of `address` until that succeeds.
pub fn first_connection(address: Ipv4Addr) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if accepts((address, 80).into()).unwrap_or(false) {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
    bail!(
        "nothing accepts connections at {address} for {PATIENCE:?}. Addresses of Services answer inside the cluster's \
         network only: tests/cluster/cluster exec -- bench/run operator"
    )
}

fn accepts(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, TRY)?;
    stream.set_read_timeout(Some(TRY))?;
    stream.write_all(REQUEST)?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(&status == b"HTTP/1.1 101")
}
