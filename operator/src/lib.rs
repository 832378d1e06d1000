//! The controller of Linnet: turns a RealtimeChannel into a running fleet of gateways.

pub mod assets;
pub mod cli;
pub mod gateways;
pub mod leader;
pub mod rollout;
pub mod scaling;
