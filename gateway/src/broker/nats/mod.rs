//! How a channel is laid out on NATS.

pub mod subjects;
