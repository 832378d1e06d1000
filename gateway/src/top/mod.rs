//! `linnet-gateway top`: one gateway, or all of a channel, in a terminal.
//!
//! [`fetch`] asks the internal ports, [`picture`] makes of two answers what happened between them, [`draw`] shows it,
//! [`run`] does so again and again.

mod draw;
mod fetch;
mod picture;
mod run;

pub use run::{Options, run};
