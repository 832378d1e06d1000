//! What a gateway needs to speak to NATS.

pub mod credentials;
pub mod presence;
pub mod subjects;
