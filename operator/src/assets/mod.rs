//! What a channel has on NATS: the streams of its history, and the bucket of its gateways' leases.
//!
//! `plan` says what there is to be, `correct` what to do with what is there, `release` when a channel that is deleted may
//! go, `record` what it left on a broker that it had before: all of that is pure. `brokers` keeps connections, `keeper`
//! looks at NATS and does what was decided.

mod brokers;
mod correct;
mod keeper;
mod plan;
mod record;
mod release;

pub use brokers::{Broker, BrokerError, Brokers, Secrets};
pub use correct::{Correction, Refusal, correct};
pub use keeper::{AssetError, Deleted, Done, Keeper, Kept};
pub use plan::{Asset, Kind, Plan};
pub use record::{Left, Record};
pub use release::{After, Before, Situation, Warning, after, before};

#[cfg(test)]
mod tests;
