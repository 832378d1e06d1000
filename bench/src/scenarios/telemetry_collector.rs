//! Collectors for gateways under measurement: one that is there, one that is not, and the manifest that names them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Result;

/// `manifest` with so many of a million connections traced.
pub(super) fn traced(manifest: &str, collector: SocketAddr, rate: u32) -> String {
    format!(
        "{manifest}  telemetry: {{otlpEndpoint: \"http://{collector}\", samplingRatePerMillion: {rate}}}\n"
    )
}

/// An address where nobody answers: bound and given back.
pub(super) fn away() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A collector over HTTP that takes everything and looks at nothing.
pub(super) fn collector() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || take(stream));
        }
    });
    Ok(address)
}

fn take(mut stream: TcpStream) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            more(&mut stream, &mut buffer)?;
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length = text.split("content-length:").nth(1)?.split("\r\n").next()?;
        let whole = head + length.trim().parse::<usize>().ok()?;
        while buffer.len() < whole {
            more(&mut stream, &mut buffer)?;
        }
        buffer.drain(..whole);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}

fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut part = [0; 16 * 1024];
    let count = stream.read(&mut part).ok().filter(|count| *count > 0)?;
    buffer.extend_from_slice(&part[..count]);
    Some(())
}
