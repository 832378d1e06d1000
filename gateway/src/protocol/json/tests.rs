//! Frames to requests and back, sentence by sentence of `docs/protocol.md`.

mod acks;
mod asyncapi;
mod decode;
mod encode;
mod faults;
mod properties;

use super::decode::request;
use crate::message::Payload;
use crate::names::{ConnectionId, Epoch, Offset, RoomName, SessionSecret};
use crate::protocol::{
    Command, Content, ErrorCode, Fault, HistoryRange, Question, Request, RequestId, Since,
};

/// The command of a valid frame.
fn command(text: &str) -> Command {
    request(text)
        .unwrap_or_else(|fault| panic!("{text}: {}", fault.message))
        .command
}

/// What is said of a frame that is not valid.
fn fault(text: &str) -> Fault {
    request(text).expect_err(text)
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

/// Arrays in arrays.
fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}
