//! A bare relay over NATS, in two processes: what a client publishes to one, the clients of the other receive.
//!
//! Each is tokio on one thread, as the strictest reference (see [`connect`](super::connect)). Neither parses JSON,
//! knows rooms or checks anything; a publish is acknowledged as the gateway does it: after the stream's ack where
//! there is a stream, else at once.

use anyhow::{Context, Result, bail};
use async_nats::jetstream::context::PublishAckFuture;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime, spawn,
    sync::mpsc,
};

use super::connect::{filled, read, stdin_ended};
use crate::{
    load::{
        frames::{self, Opcode},
        handshake,
    },
    nats::{Entry, WINDOW, Way},
};

/// The side that takes publishes, until stdin ends.
pub fn enter(way: Way) -> Result<()> {
    run(async {
        let entry: &'static Entry = Box::leak(Box::new(way.enter().await?));
        let listener = listen().await?;
        loop {
            let socket = accept(&listener).await?;
            spawn(async move {
                if let Err(error) = take_publishes(socket, entry).await {
                    eprintln!("relay: {error:#}");
                }
            });
        }
    })
}

/// The side that sends what comes to all its clients, in frames of `frame_bytes` on the wire, until stdin ends.
pub fn leave(way: Way, frame_bytes: usize) -> Result<()> {
    let length = frames::payload_len_of(frame_bytes)
        .with_context(|| format!("no frame has {frame_bytes} bytes"))?;
    run(async move {
        let mut messages = way.leave().await?;
        let listener = listen().await?;
        let mut clients: Vec<TcpStream> = Vec::new();
        let mut out = Vec::new();
        loop {
            tokio::select! {
                // A message ends an upgrade halfway: nobody connects while some come.
                socket = accept(&listener) => clients.push(socket?),
                message = messages.next() => {
                    let message = message.context("NATS ended")??;
                    push_frame(&mut out, &message, length);
                    let mut staying = Vec::with_capacity(clients.len());
                    for mut client in clients {
                        // One that has gone is its own affair; the load generator reports it.
                        if client.write_all(&out).await.is_ok() {
                            staying.push(client);
                        }
                    }
                    clients = staying;
                }
            }
        }
    })
}

fn run(serve: impl Future<Output = Result<()>>) -> Result<()> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            tokio::select! {
                result = serve => result,
                () = stdin_ended() => Ok(()),
            }
        })
}

/// A listener on a free port, which it announces as the gateway does.
async fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("cannot listen")?;
    println!("listening public={}", listener.local_addr()?);
    Ok(listener)
}

/// Accepts one connection and upgrades it; opening is not measured.
async fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (mut socket, _) = listener.accept().await.context("cannot accept")?;
    socket.set_nodelay(true)?;
    let mut request = [0; 1024];
    let mut filled = 0;
    while handshake::head_len(&request[..filled]).is_none() {
        filled += read(&mut socket, &mut request[filled..]).await?;
    }
    socket.write_all(&handshake::response(0)).await?;
    Ok(socket)
}

async fn take_publishes(socket: TcpStream, entry: &Entry) -> Result<()> {
    let (mut reader, mut writer) = socket.into_split();
    writer
        .write_all(&filled(r#"{"type":"connected""#, 0)?)
        .await?;
    let (sender, acks) = mpsc::channel(WINDOW);
    let acknowledging = spawn(acknowledge(writer, acks));
    let published = publish(&mut reader, entry, sender).await;
    acknowledging.await??;
    published
}

/// Publishes what a client sends until it goes.
async fn publish(
    reader: &mut OwnedReadHalf,
    entry: &Entry,
    acks: mpsc::Sender<Option<PublishAckFuture>>,
) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut length = 0;
    loop {
        let mut used = 0;
        while let Some((opcode, wire)) = frames::parse_client(&buffer[used..length]) {
            let frame = &buffer[used..used + wire];
            used += wire;
            match opcode {
                Opcode::Close => return Ok(()),
                Opcode::Text => {
                    let ack = entry
                        .publish(Bytes::copy_from_slice(payload(frame)))
                        .await?;
                    acks.send(ack).await.context("the client is gone")?;
                }
                _ => {}
            }
        }
        buffer.copy_within(used..length, 0);
        length -= used;
        match tokio::io::AsyncReadExt::read(reader, &mut buffer[length..]).await? {
            0 => return Ok(()),
            read => length += read,
        }
    }
}

/// Writes acks in the order of the publishes, each once the stream has sent its own.
async fn acknowledge(
    mut writer: OwnedWriteHalf,
    mut acks: mpsc::Receiver<Option<PublishAckFuture>>,
) -> Result<()> {
    let frame = filled(r#"{"type":"ack","id":1"#, 0)?;
    while let Some(ack) = acks.recv().await {
        if let Some(ack) = ack
            && let Err(error) = ack.await
        {
            bail!("the stream did not take a message: {error}");
        }
        writer.write_all(&frame).await?;
    }
    Ok(())
}

/// The payload of a whole client frame. Its mask is zero, as the load generator sets it.
fn payload(frame: &[u8]) -> &[u8] {
    let header = match frame.get(1).map(|second| second & 0x7f) {
        Some(126) => 8,
        Some(127) => 14,
        _ => 6,
    };
    frame.get(header..).unwrap_or_default()
}

/// Makes `out` a text frame whose payload is `message`, cut or filled up with spaces to `length`.
fn push_frame(out: &mut Vec<u8>, message: &[u8], length: usize) {
    let mut payload = message.to_vec();
    payload.resize(length, b' ');
    out.clear();
    frames::push_server_frame(out, Opcode::Text, &payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_of_a_client_frame_of_every_length_class_is_found() {
        for length in [5, 126, 70_000] {
            let mut frame = Vec::new();
            frames::push_client_frame(&mut frame, Opcode::Text, &vec![b'x'; length]);
            assert_eq!(payload(&frame), vec![b'x'; length]);
        }
    }

    #[test]
    fn a_frame_has_the_asked_length_whatever_comes() {
        let mut out = Vec::new();
        for message in ["short", &"long".repeat(100)] {
            push_frame(&mut out, message.as_bytes(), 200);
            assert_eq!(out.len(), frames::server_frame_len(200));
        }
    }
}
