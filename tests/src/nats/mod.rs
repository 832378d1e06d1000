//! NATS servers of a test's own: real processes on ports of their own, killed when dropped.

mod broker;
mod cluster;
mod server;

pub use broker::broker;
pub use cluster::NatsCluster;
pub use server::NatsServer;

#[cfg(test)]
mod tests;
