//! Who is connected where, on all gateways of a channel. [`state`] decides and holds the reasoning, [`link`] does the IO.

pub mod entry;
pub mod excess;
pub mod link;
pub mod state;

mod effect;
mod lease;
mod own;
mod peers;
mod replica;
mod wire;

#[cfg(test)]
mod tests;
