//! The channel's handler (`spec.handler`): a back end that is asked when somebody connects, told when he leaves, and
//! answers requests. `call` is what it is sent, `answer` what it may say, `sign` and `secret` how it knows who asks;
//! `http` and `nats` are the two ways there, and `lines` lets each connection have one call under way.

pub mod answer;
pub mod call;
mod error;
mod http;
mod lines;
mod metrics;
mod nats;
mod secret;
pub mod sign;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Emit, Reject};
pub use call::{Call, Kind, Names};
pub use error::Failure;
pub use lines::{Full, Handle, Handled, Of};
pub use metrics::{Event, HandlerMetrics, Outcome};
