//! A slow but correct server of `linnet.v1.json` and the plain protocol, as far as the load generator speaks them,
//! with faults on demand: what the load generator must notice has to be produced by something.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, SystemTime},
};

use linnet_bench::load::{
    frames::{self, Opcode},
    handshake,
};
use serde_json::{Value, json};

/// What the stub does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "the example uses only one of them")]
pub enum Fault {
    None,
    /// Leaves out every third message.
    Drops,
    /// Sends every third message after the fourth.
    Swaps,
    /// Sends every third message twice.
    Doubles,
    /// Closes with 4100 instead of delivering.
    Closes,
    /// Answers upgrades with 503.
    Refuses,
}

/// A connection: read by its own thread, written to by all.
struct Peer {
    socket: TcpStream,
    writing: Mutex<()>,
}

impl Peer {
    fn write(&self, bytes: &[u8]) {
        let _turn = self.writing.lock().unwrap();
        // A client that has gone is found by its own thread.
        let _ = (&self.socket).write_all(bytes);
    }
}

type Rooms = Arc<Mutex<HashMap<String, Vec<Arc<Peer>>>>>;

/// Serves in the background on a free port. `ping`: how often connections are pinged.
pub fn start(fault: Fault, ping: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let rooms = Rooms::default();
    let pinged = rooms.clone();
    thread::spawn(move || {
        loop {
            thread::sleep(ping);
            for socket in pinged.lock().unwrap().values().flatten() {
                socket.write(&[0x89, 1, b'p']);
            }
        }
    });
    thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let rooms = rooms.clone();
            thread::spawn(move || serve(socket, &rooms, fault));
        }
    });
    address
}

fn serve(mut socket: TcpStream, rooms: &Rooms, fault: Fault) -> Option<()> {
    let mut pending = Vec::new();
    let head = loop {
        read(&mut socket, &mut pending)?;
        if let Some(length) = handshake::head_len(&pending) {
            break pending.drain(..length).collect::<Vec<u8>>();
        }
    };
    if fault == Fault::Refuses {
        return socket
            .write_all(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n")
            .ok();
    }
    socket.set_nodelay(true).ok()?;
    socket.write_all(&handshake::response(160)).ok()?;
    let writer = Arc::new(Peer {
        socket,
        writing: Mutex::new(()),
    });
    let mut socket = &writer.socket;
    let head = String::from_utf8(head).ok()?;
    if let Some((_, query)) = head.lines().next()?.split_once("room=") {
        join(rooms, query.split(['&', ' ']).next()?, &writer);
    } else {
        say(
            &writer,
            &json!({"type": "connected", "connection_id": "~x", "gateway": "stub"}),
        );
    }
    let mut held = None;
    let mut count = 0;
    loop {
        while let Some((opcode, length)) = frames::parse_client(&pending) {
            let frame: Vec<u8> = pending.drain(..length).collect();
            match opcode {
                Opcode::Close => {
                    writer.write(&[0x88, 2, 0x03, 0xe8]);
                    rooms
                        .lock()
                        .unwrap()
                        .values_mut()
                        .for_each(|room| room.retain(|w| !Arc::ptr_eq(w, &writer)));
                    return socket.shutdown(Shutdown::Both).ok();
                }
                Opcode::Text => {}
                _ => continue,
            }
            // The masking key of our clients is zero.
            let start = frame.iter().position(|&byte| byte == b'{')?;
            let request: Value = serde_json::from_slice(&frame[start..]).ok()?;
            let room = request["room"].as_str()?;
            if request["type"] == "subscribe" {
                join(rooms, room, &writer);
            } else {
                count += 1;
                let now = SystemTime::UNIX_EPOCH.elapsed().ok()?.as_millis() as u64;
                let data = request["data"].as_str()?;
                // Not by `json!`, which sorts the fields: `type` comes first on the wire.
                let message = format!(
                    r#"{{"type":"message","room":"{room}","data":"{data}","timestamp":{now}}}"#
                );
                let third = count % 3 == 0;
                match fault {
                    Fault::Drops if third => {}
                    Fault::Swaps if third => held = Some(message),
                    Fault::Closes => deliver(rooms, room, Opcode::Close, b"\x10\x04slow_consumer"),
                    _ => {
                        deliver(rooms, room, Opcode::Text, message.as_bytes());
                        if let Some(held) = held.take() {
                            deliver(rooms, room, Opcode::Text, held.as_bytes());
                        }
                        if fault == Fault::Doubles && third {
                            deliver(rooms, room, Opcode::Text, message.as_bytes());
                        }
                    }
                }
            }
            say(&writer, &json!({"id": request["id"], "type": "ack"}));
        }
        read(&mut socket, &mut pending)?;
    }
}

fn read(socket: &mut impl Read, pending: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 4096];
    match socket.read(&mut buffer) {
        Ok(0) | Err(_) => None,
        Ok(read) => {
            pending.extend_from_slice(&buffer[..read]);
            Some(())
        }
    }
}

fn join(rooms: &Rooms, room: &str, writer: &Arc<Peer>) {
    rooms
        .lock()
        .unwrap()
        .entry(room.to_owned())
        .or_default()
        .push(writer.clone());
}

fn deliver(rooms: &Rooms, room: &str, opcode: Opcode, payload: &[u8]) {
    let mut out = Vec::new();
    frames::push_server_frame(&mut out, opcode, payload);
    for socket in rooms.lock().unwrap().get(room).into_iter().flatten() {
        socket.write(&out);
    }
}

fn say(writer: &Peer, frame: &Value) {
    let mut out = Vec::new();
    frames::push_server_frame(&mut out, Opcode::Text, frame.to_string().as_bytes());
    writer.write(&out);
}
