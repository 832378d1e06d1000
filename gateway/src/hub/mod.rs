//! The hub knows rooms: who is in them, what they keep, and what happens to a message between the broker and the
//! shards. One thread at a time runs it; [`actor`] sees to that, [`state::Hub`] holds no IO.
//!
//! [`state`] takes each command and event and passes it to the file of its subject: `subscribing`, `watching`,
//! `publishing`, `reading`, `gaps`, or `memory`, which decides what is kept.

pub mod actor;
pub mod command;
pub mod delivery;
pub mod directory;
mod gaps;
mod inspect;
mod memory;
pub mod presence;
mod publishing;
mod reading;
pub mod ring;
mod rings;
mod room;
pub mod state;
mod stores;
mod subscribing;
pub mod top;
mod users;
mod watching;

pub use actor::HubHandle;
pub use command::{Address, Command, CommandKind};
pub use delivery::{Answer, Delivery, Outlet};

#[cfg(test)]
mod tests;
