//! What publishers are told where NATS is what keeps their messages from being published: which kind of trouble it is,
//! and nothing of servers, accounts or subjects.

use super::health::{Fault, Health};
use crate::broker::PublishError;

/// Why a message is not sent while there is no connection.
pub fn without_connection(health: &Health) -> PublishError {
    match health.has(Fault::Unauthorized) {
        true => PublishError::Unauthorized,
        false => PublishError::Unavailable,
    }
}

/// Why no stream of a partition has taken a message in time.
pub fn without_stream(health: &Health, partition: u16) -> PublishError {
    match health.has_of(Fault::NoJetStream, partition) {
        true => PublishError::NoStorage,
        false => PublishError::Unavailable,
    }
}

/// What an answer of JetStream means that refuses a message.
pub fn answered(fault: Fault) -> PublishError {
    match fault {
        Fault::StorageFull => PublishError::StorageFull,
        Fault::AccountLimit => PublishError::StorageLimit,
        Fault::NoJetStream => PublishError::NoStorage,
        _ => PublishError::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_connection_refused_credentials_are_told_apart() {
        let health = Health::new(1);
        health.set(Fault::Disconnected, "");
        assert_eq!(without_connection(&health), PublishError::Unavailable);
        health.set(Fault::Unauthorized, "");
        assert_eq!(without_connection(&health), PublishError::Unauthorized);
        health.clear(Fault::Unauthorized);
        assert_eq!(without_connection(&health), PublishError::Unavailable);
    }

    #[test]
    fn a_missing_jetstream_is_told_apart_from_a_missing_stream_of_the_same_partition() {
        let health = Health::new(2);
        health.set_of(Fault::NoStream, 0, "");
        health.set_of(Fault::NoJetStream, 1, "");
        assert_eq!(without_stream(&health, 0), PublishError::Unavailable);
        assert_eq!(without_stream(&health, 1), PublishError::NoStorage);
    }
}
