//! The controller of Linnet: turns a RealtimeChannel into a running fleet of gateways.

pub mod cli;
