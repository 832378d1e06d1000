//! The hub's way to the shards.

use std::sync::Arc;
use std::time::Instant;

use super::batch::Batch;
use super::command::Command;
use super::handle::Shards;
use crate::hub::{Delivery, Outlet};
use crate::message::Message;
use crate::names::RoomName;
use crate::transport::shard::backlog::QueueMemory;

/// Collects a turn's commands in the shards' queues, and wakes each shard once.
pub struct ShardOutlet {
    shards: Shards,
    memory: Arc<QueueMemory>,
    /// Shards with something new in this turn.
    touched: Vec<bool>,
}

impl ShardOutlet {
    /// An outlet to these shards, whose buffers count into `memory`.
    pub fn new(shards: Shards, memory: Arc<QueueMemory>) -> Self {
        let touched = vec![false; shards.len()];
        Self {
            shards,
            memory,
            touched,
        }
    }

    fn push(&mut self, shard: usize, command: Command) {
        if let Some(handle) = self.shards.get(shard) {
            handle.push(command);
            self.touched[shard] = true;
        }
    }
}

impl Outlet for ShardOutlet {
    fn messages(
        &mut self,
        room: &RoomName,
        messages: Vec<Arc<Message>>,
        received: Instant,
        shards: &[u32],
    ) {
        let batch = Arc::new(Batch::new(
            room.clone(),
            messages,
            received,
            self.memory.clone(),
        ));
        for (shard, _) in shards
            .iter()
            .enumerate()
            .filter(|(_, subscribers)| **subscribers > 0)
        {
            self.push(shard, Command::Messages(batch.clone()));
        }
    }

    fn send(&mut self, shard: u16, delivery: Delivery) {
        self.push(usize::from(shard), Command::Deliver(delivery));
    }

    fn is_full(&self, shard: u16) -> bool {
        let bound = (self.memory.limit() / 4).max(1 << 20);
        self.shards
            .get(usize::from(shard))
            .is_some_and(|handle| handle.queued() > bound)
    }

    fn flush(&mut self) {
        for (shard, touched) in self.touched.iter_mut().enumerate() {
            if std::mem::take(touched)
                && let Some(handle) = self.shards.get(shard)
            {
                handle.wake();
            }
        }
    }
}
