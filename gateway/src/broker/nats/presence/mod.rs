//! Who is connected where, on all gateways of a channel. [`state`] decides and holds the reasoning, [`link`] does the IO;
//! [`users`] says which connections of a user are too many.

pub mod entry;
pub mod link;
pub mod state;
pub mod users;

mod effect;
mod excess;
mod lease;
mod own;
mod peers;
mod replica;
mod wire;

#[cfg(test)]
mod tests;
