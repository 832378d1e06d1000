//! Rooms whose messages go to a worker first: what they need on NATS, and what becomes of messages that no worker can work.
//!
//! The gateway puts such a message into the work-queue stream (`publish`); a worker takes it from there, and what it makes
//! of it into the stream of a room, where gateways find it as any other message. docs/workers.md is the contract with
//! workers. `assets` says what the streams and consumers are like, `keeper` sees to it that they are there, `lease`
//! names the one gateway that minds messages which workers do not survive, and `undertaker` is what it does.

mod assets;
mod keeper;
mod lease;
mod undertaker;

pub use assets::{dead, work};
pub use keeper::{Keeper, Wanted, prepare};
