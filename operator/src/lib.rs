//! The controller of Linnet: turns a RealtimeChannel into a running fleet of gateways.

pub mod annotate;
pub mod apply;
pub mod assets;
pub mod build;
pub mod children;
pub mod cli;
pub mod controller;
pub mod decision;
pub mod dereference;
pub mod fleet;
pub mod gateways;
pub mod health;
pub mod leader;
pub mod live;
pub mod logging;
pub mod metrics;
pub mod names;
pub mod probe;
pub mod rebalance;
pub mod render;
pub mod rollout;
pub mod scaling;
pub mod service;
pub mod settings;
pub mod status;
pub mod streams;
pub mod validate;

#[cfg(test)]
mod testing;
