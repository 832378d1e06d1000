//! Where anonymous connections live. Shards enter theirs themselves, before the greeting tells
//! the id: it spares every connect a turn of the hub, and whoever knows an id can send to it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Address;
use crate::names::ConnectionId;

/// Addresses by connection id; touched when a connection comes or goes and by `send`, never by a
/// fan-out.
#[derive(Debug, Default)]
pub struct Directory(Mutex<HashMap<ConnectionId, Address>>);

impl Directory {
    /// Enters a connection.
    pub fn add(&self, connection: ConnectionId, address: Address) {
        self.addresses().insert(connection, address);
    }

    /// Takes a connection out.
    pub fn remove(&self, connection: ConnectionId) {
        self.addresses().remove(&connection);
    }

    /// Where a connection lives.
    pub fn find(&self, connection: ConnectionId) -> Option<Address> {
        self.addresses().get(&connection).copied()
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<ConnectionId, Address>> {
        // The map is whole between two calls, also if a thread has panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
