//! The part of a pass that is about NATS: keeping a channel's streams, and deleting them with it.
//!
//! `assets` decides and knows NATS; here is what of it a channel is told, when it is due, and the finalizer that keeps a
//! channel until its streams are gone. `tend` and `delete` do the IO, `condition` is pure.

mod condition;
mod delete;
mod finalizer;
mod memory;
mod read;
mod tend;

pub use condition::{Problem, condition};
pub use delete::delete;
pub use finalizer::{FINALIZER, settle};
pub use memory::Streams;
pub use tend::{Prepared, prepare, tend};

#[cfg(test)]
mod tests;
