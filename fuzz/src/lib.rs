//! Fuzzing: each parser that reads what strangers send, as a function of bytes that must never panic and holds its own
//! claims; see `README.md` beside this crate.
//!
//! - [`targets`] has one file a parser; [`TARGETS`] lists them.
//! - [`mutate`] changes inputs at random, for short runs with the stable compiler. Long ones, guided by coverage, are
//!   the crate in `libfuzzer/`, which calls the same functions.

pub mod mutate;
pub mod targets;

pub use targets::{TARGETS, Target};
