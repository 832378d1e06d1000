//! The RealtimeChannel API of Linnet: types, schema and offline validation.

pub mod authentication;
pub mod autoscaling;
pub mod broker;
pub mod channel;
pub mod data;
pub mod expose;
pub mod gateway;
pub mod handler;
pub mod heartbeat;
pub mod history;
pub mod limits;
pub mod network_policy;
pub mod object;
pub mod patterns;
pub mod quantity;
pub mod rollout;
pub mod rooms;
mod rules;
pub mod schema;
pub mod service;
pub mod status;
pub mod support;
pub mod telemetry;
pub mod toggle;
pub mod transports;
pub mod validate;
pub mod workers;

pub use channel::{RealtimeChannel, RealtimeChannelSpec};
pub use quantity::Quantity;
pub use toggle::{Permission, Toggle};
pub use validate::{Problem, Problems, check, check_managed, parse, parse_lenient};
