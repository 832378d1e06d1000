//! Which of several operators acts: the one that holds a Lease (coordination.k8s.io).
//!
//! `candidate` decides, without IO; `record` reads and writes the Lease; `campaign` asks the API server in turns;
//! [`Leadership`] is what the rest of the operator sees.

mod campaign;
mod candidate;
mod leadership;
mod record;

pub use campaign::{Campaign, campaign};
pub use candidate::Terms;
pub use leadership::Leadership;

#[cfg(test)]
mod tests;
