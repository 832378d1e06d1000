//! A Kubernetes cluster as a measurement needs it: kubectl, and the API server's audit log.

mod audit;
mod connect;
mod kubectl;

pub use audit::{Audit, Request};
pub use connect::first_connection;
pub use kubectl::Kubectl;
