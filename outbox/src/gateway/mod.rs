//! The gateways' HTTP API, as far as a relay needs it: publish one message, read a room's history.

mod answer;
mod client;
mod key;
mod request;

pub use answer::{Outcome, Refusal, Verdict};
pub use client::{Gateway, Page, Unread};
pub use key::{Key, KeyError};
