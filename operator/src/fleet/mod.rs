//! How many gateways a channel has in this pass, and which pod template: what `scaling` and `rollout` say of what was
//! observed, put together. `decide` is pure; `mark` writes which pods go first.

mod decide;
mod mark;
mod pods;

pub use decide::{Fleets, Verdict, Wait};
pub use mark::{Mark, mark};
pub use pods::{is_ready, remaining, started};

#[cfg(test)]
mod tests;
