//! Frames in, events out.

mod bounds;
mod endings;
mod fragments;
mod messages;
mod properties;

use super::super::frame::Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
use super::super::testing::{Connection, Got, client, masked, read};
use super::*;

fn refused(frames: &[Vec<u8>]) -> (u16, &'static str) {
    let error = read(&frames.concat())
        .1
        .expect_err("these frames must be refused");
    (error.code, error.reason)
}

fn events(frames: &[Vec<u8>]) -> Vec<Got> {
    let (got, result) = read(&frames.concat());
    assert_eq!(result, Ok(()));
    got
}

fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    client(true, Close, &[&code.to_be_bytes(), reason].concat())
}
