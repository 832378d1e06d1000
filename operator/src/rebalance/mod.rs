//! After gateways were added, connections move from crowded ones to them (`spec.rollout.rebalance: Paced`).
//!
//! `decide` is pure: it says which gateway is to make room, one at a time. `ask` asks it. What a gateway is asked for is a
//! state, "so many stay": who asks twice, such as the next leader, moves nobody twice.

mod ask;
mod decide;

pub use ask::{Outcome, Rebalances, rebalance};
pub use decide::{End, Gateway, Load, Memory, Step, decide};

#[cfg(test)]
mod tests;
