//! The WebSocket protocol without any IO: bytes in, events out, and back (RFC 6455, RFC 7692).
//!
//! - [`handshake`] judges an upgrade request; [`origin`] and [`query`] are the parts it reads.
//! - [`frame`] writes the server's frames and reads the headers of a client's.
//! - [`reader`] turns a connection's bytes into messages; `message` holds one that is not complete.
//! - [`deflate`] compresses and inflates messages; [`negotiate`] settles whether and how.

pub mod deflate;
pub mod frame;
pub mod handshake;
mod message;
pub mod negotiate;
pub mod origin;
pub mod query;
pub mod reader;

#[cfg(test)]
mod testing;
