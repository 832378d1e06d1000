//! The RealtimeChannel API of Linnet: types, schema and offline validation.

pub mod authentication;
pub mod autoscaling;
pub mod broker;
pub mod channel;
pub mod expose;
pub mod gateway;
pub mod handler;
pub mod heartbeat;
pub mod history;
pub mod limits;
pub mod network_policy;
pub mod object;
pub mod quantity;
pub mod rollout;
pub mod rooms;
pub mod rules;
pub mod service;
pub mod status;
pub mod telemetry;
pub mod toggle;
pub mod transports;

pub use channel::{RealtimeChannel, RealtimeChannelSpec};
pub use quantity::Quantity;
pub use toggle::{Permission, Toggle};
