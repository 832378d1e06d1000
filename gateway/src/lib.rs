//! The data plane of Linnet: serves one RealtimeChannel.
//!
//! Data flows one way: transport → protocol → session → hub → broker, and back. `docs/architecture.md` shows the rooms.

pub mod api;
pub mod auth;
pub mod broker;
pub mod cli;
pub mod config;
pub mod drain;
pub mod handler;
pub mod hub;
pub mod internal;
pub mod logging;
pub mod message;
pub mod metrics;
pub mod names;
pub mod protocol;
pub mod runtime;
pub mod session;
pub mod top;
pub mod traces;
pub mod transport;
