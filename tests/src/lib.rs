//! The harness of Linnet's whole-system tests: real gateway processes, real sockets.
//!
//! `tests/*.rs` beside this crate hold the tests, one file per subject. `tests/run` builds what they need.
#![allow(
    clippy::unwrap_used,
    reason = "a harness that can't go on ends the test where it stands"
)]

pub mod api;
pub mod assets;
pub mod backend;
pub mod bystander;
pub mod client;
pub mod collector;
pub mod conformance;
pub mod contract;
pub mod events;
pub mod example;
pub mod fleet;
pub mod follower;
pub mod gateway;
pub mod grpc;
pub mod http;
pub mod issuer;
pub mod jwks;
pub mod ledger;
pub mod manifest;
pub mod metrics;
pub mod nats;
pub mod operator;
pub mod outbox;
pub mod plain;
pub mod polling;
pub mod ports;
pub mod postgres;
mod process;
pub mod products;
pub mod proxy;
pub mod publisher;
pub mod raw;
pub mod rooms;
pub mod seed;
pub mod socketio;
pub mod sse;
pub mod storm;
pub mod wait;
pub mod work;
pub mod worker;

pub use backend::{BackEnd, Received, Says};
pub use bystander::Bystander;
pub use client::{Client, Refusal};
pub use collector::Collector;
pub use events::Events;
pub use fleet::{Doors, Fleet};
pub use follower::Follower;
pub use gateway::Gateway;
pub use manifest::Manifest;
pub use nats::{NatsCluster, NatsServer};
pub use operator::Operator;
pub use outbox::Outbox;
pub use plain::Plain;
pub use polling::Polling;
pub use postgres::Postgres;
pub use products::Products;
pub use proxy::Proxy;
pub use raw::Raw;
pub use rooms::Rooms;
pub use socketio::SocketIo;
pub use wait::{scenario, until, within};
pub use worker::Worker;

/// What most tests need.
pub mod prelude {
    pub use crate::{
        Bystander, Client, Collector, Events, Follower, Gateway, Manifest, Plain, Raw, Refusal,
    };
    pub use crate::{Doors, Fleet, NatsCluster, NatsServer, Operator, Proxy};
    pub use crate::{scenario, until, within};
    pub use serde_json::{Value, json};
}
