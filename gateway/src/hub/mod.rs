//! The hub knows rooms: who is in them, what they keep, and what happens to a message between the broker and the
//! shards. One thread at a time runs it; [`actor`] sees to that, [`state::Hub`] holds no IO.

pub mod actor;
pub mod command;
pub mod delivery;
pub mod directory;
mod lru;
pub mod presence;
pub mod ring;
mod room;
pub mod state;
mod users;

pub use actor::HubHandle;
pub use command::{Address, Command, CommandKind};
pub use delivery::{Answer, Delivery, Outlet};

#[cfg(test)]
mod tests;
