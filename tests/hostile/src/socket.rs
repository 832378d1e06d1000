//! A WebSocket by hand: nothing that a library would put between an attacker and the wire.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Where attackers come from.
pub const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66));

/// Where honest clients come from.
pub const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Opcodes (RFC 6455 §5.2), and FIN, which ends a message.
pub const TEXT: u8 = 1;
pub const PING: u8 = 9;
pub const FIN: u8 = 0x80;

/// The first byte of a pong.
pub const PONG: u8 = FIN | 10;

/// A socket to the gateway from an address of this machine.
pub async fn connect(gateway: SocketAddr, from: IpAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    let stream = socket.connect(gateway).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A handshake, with header lines added.
pub fn handshake(path: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// An open WebSocket; what came behind the handshake's answer is still to be read.
pub async fn open(gateway: SocketAddr, from: IpAddr, headers: &str) -> anyhow::Result<TcpStream> {
    let mut stream = connect(gateway, from).await?;
    stream.write_all(&handshake("/ws", headers)).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(
            stream
                .read_u8()
                .await
                .context("the handshake was not answered")?,
        );
    }
    match head.get(9..12) {
        Some(b"101") => Ok(stream),
        status => bail!(
            "refused: {}",
            String::from_utf8_lossy(status.unwrap_or(b"?"))
        ),
    }
}

/// A client's frame; `first` has FIN and the opcode. The mask is zero, which changes nothing for the server.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        medium @ 126..65536 => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// A final text frame.
pub fn text(payload: &str) -> Vec<u8> {
    frame(0x80 | TEXT, payload.as_bytes())
}

/// Frames of a server, taken from a growing buffer.
#[derive(Default)]
pub struct Frames(Vec<u8>);

impl Frames {
    /// Reads more; `false` at the end.
    pub async fn read(&mut self, stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<bool> {
        Ok(stream.read_buf(&mut self.0).await? > 0)
    }

    /// The next whole frame: opcode and payload.
    pub fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&first, rest) = self.0.split_first()?;
        let (&short, rest) = rest.split_first()?;
        let (length, header) = match short {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*rest.first_chunk()?) as usize, 10),
            short => (usize::from(short), 2),
        };
        let payload = self.0.get(header..header + length)?.to_vec();
        self.0.drain(..header + length);
        Some((first & 0x0F, payload))
    }
}
