//! NATS servers of a test's own: real processes on ports of their own, killed when dropped.

mod cluster;
mod server;

pub use cluster::NatsCluster;
pub use server::{NatsServer, binary};

#[cfg(test)]
mod tests;
