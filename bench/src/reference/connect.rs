//! A bare tokio server that exchanges the bytes of a connect: request, 101, greeting, subscribe, ack, close.
//!
//! On one thread: without work stealing and wake-ups across threads tokio needs the least CPU time, so this is the
//! strictest reference, however many threads the gateway uses.

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime,
};

use crate::load::{
    Lengths,
    frames::{self, Opcode},
    handshake,
};

/// Answers of the lengths that the gateway's answers have.
struct Answers {
    head: Vec<u8>,
    greeting: Vec<u8>,
    ack: Vec<u8>,
}

/// Serves until stdin ends.
pub fn serve(lengths: Lengths) -> Result<()> {
    let answers = Answers {
        head: handshake::response(lengths.head),
        greeting: filled(r#"{"type":"connected""#, lengths.greeting)?,
        ack: filled(r#"{"type":"ack","id":1"#, lengths.ack)?,
    };
    // Shared for the life of the process: no counting per connection.
    let answers: &'static Answers = Box::leak(Box::new(answers));
    runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .context("cannot listen")?;
            println!("listening public={}", listener.local_addr()?);
            let accept = async {
                loop {
                    let (socket, _) = listener.accept().await.context("cannot accept")?;
                    // A client that goes away early is its own affair; the load generator reports it.
                    tokio::spawn(async move {
                        let _ = serve_one(socket, answers).await;
                    });
                }
            };
            tokio::select! {
                result = accept => result,
                () = stdin_ended() => Ok(()),
            }
        })
}

async fn serve_one(mut socket: TcpStream, answers: &'static Answers) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = [0; 1024];
    let mut filled = 0;
    let head = loop {
        filled += read(&mut socket, &mut buffer[filled..]).await?;
        if let Some(head) = handshake::head_len(&buffer[..filled]) {
            break head;
        }
    };
    buffer.copy_within(head..filled, 0);
    filled -= head;
    socket.write_all(&answers.head).await?;
    socket.write_all(&answers.greeting).await?;
    loop {
        while let Some((opcode, length)) = frames::parse_client(&buffer[..filled]) {
            buffer.copy_within(length..filled, 0);
            filled -= length;
            if opcode == Opcode::Close {
                return socket.write_all(&[0x88, 2, 0x03, 0xe8]).await;
            }
            socket.write_all(&answers.ack).await?;
        }
        filled += read(&mut socket, &mut buffer[filled..]).await?;
    }
}

/// Reads something; the end of the stream and a full buffer are errors.
pub(super) async fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    match socket.read(buffer).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
    }
}

/// A text frame of `wire` bytes that starts with `start` and is one JSON object.
pub(super) fn filled(start: &str, wire: usize) -> Result<Vec<u8>> {
    let wire = wire.max(frames::server_frame_len(start.len() + 1));
    let length =
        frames::payload_len_of(wire).with_context(|| format!("no frame has {wire} bytes"))?;
    let json = format!("{start}{}}}", " ".repeat(length - start.len() - 1));
    let mut out = Vec::new();
    frames::push_server_frame(&mut out, Opcode::Text, json.as_bytes());
    Ok(out)
}

pub(super) async fn stdin_ended() {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(sender);
    });
    let _ = receiver.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_the_asked_length_and_are_json() {
        for wire in [60, 127, 132, 400] {
            let frame = filled(r#"{"type":"connected""#, wire).unwrap();
            assert_eq!(frame.len(), wire);
            let payload = frames::parse(&frame).unwrap().unwrap().payload;
            assert!(serde_json::from_slice::<serde_json::Value>(payload).is_ok());
        }
    }
}
