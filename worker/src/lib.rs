//! For workers: programs that get what is published to a room with `delivery: Worker` before the room does, and say what
//! the room receives.
//!
//! ```no_run
//! use linnet_worker::{Channel, Failure, Input, Output, Worker};
//!
//! async fn shout(input: Input) -> Result<Vec<Output>, Failure> {
//!     let text: String = input.json()?;
//!     Ok(vec![input.reply(&text.to_uppercase())?])
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = async_nats::connect("nats://127.0.0.1:4222").await?;
//! Worker::new(client, Channel::new("default", "chat")).run(shout).await;
//! # Ok(())
//! # }
//! ```
//!
//! A message is worked at least once, the messages of a room in their order, and output is deduplicated inside the
//! channel's `history.deduplicationSeconds`. docs/workers.md is the contract on NATS that this crate follows, for workers
//! in other languages. [`names`] says what things are called there, [`Input`] and [`Output`] are messages on their way,
//! [`Worker`] runs a handler.

mod delivery;
mod input;
pub mod names;
mod output;
mod partition;
mod queue;
mod turns;
mod worker;

pub use input::{Data, Input, Malformed};
pub use names::Channel;
pub use output::Output;
pub use worker::{Failure, Worker};
