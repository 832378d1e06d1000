//! The spans of a gateway (`docs/observability.md`): made as data where the work is done, and only of connections and
//! messages that are traced. What is not costs a look at an empty place.
//!
//! [`connection`] is the trace of one connection, [`publish`] and [`fan_out`] follow a message through the gateway,
//! [`message`] is what travels with it; [`call`] is of the
//! channel's handler; [`hooks`] are what shards and the public port call.

mod call;
mod connection;
mod fan_out;
mod hooks;
mod message;
mod publish;

pub use call::CallSpan;
pub use connection::{ConnectionTrace, End};
pub use fan_out::FanOutSpan;
pub use hooks::{
    asked, caller, calls, closed, decide_by_environment, fan_out, handshake_refused,
    published_by_service, rate,
};
pub use message::Trace;
pub use publish::PublishSpan;

#[cfg(test)]
mod tests;
