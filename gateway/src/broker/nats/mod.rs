//! The broker between gateways, on NATS.
//!
//! [`Nats`] is the hub's end: it hands requests to the tasks that `start` has made, and their events to the hub. `publish` puts
//! messages into streams, `follow` reads the streams and `read` what is older, `live` and `send` carry
//! rooms without history, `workers` rooms that have them, `direct` messages to users, [`presence`] who is where. `stream`
//! knows what a stream is like, [`subjects`] names everything, `wire` is a message on its way, `connection` and
//! [`credentials`] connect, [`health`] says what is wrong, and `refusal` what publishers are told of it.

pub mod answers;
pub mod api;
mod broker;
mod connection;
pub mod credentials;
mod direct;
mod follow;
pub mod health;
mod live;
pub mod presence;
mod publish;
mod read;
mod refusal;
pub mod relay;
pub mod revocations;
mod send;
mod start;
pub mod stream;
pub mod subjects;
mod wire;
pub mod workers;

pub use broker::Nats;
pub use start::{Settings, StartError};
