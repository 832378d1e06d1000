//! How many gateways a channel with `spec.autoscaling` has, and which go when there are too many.
//!
//! All of it is pure: `demand` counts what is needed, `window` remembers what was needed lately, `decide` puts both
//! together, `victims` names the pods that go first.

mod decide;
mod demand;
mod victims;
mod window;

pub use decide::{Decision, Hold, Outcome, decide, initial};
pub use demand::{Gateway, Load};
pub use victims::{COST, COST_ANNOTATION, costs};
pub use window::Memory;

#[cfg(test)]
mod tests;
