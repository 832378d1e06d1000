//! Whose turn it is in this process: a message that was delivered before is handled alone, and nothing else is taken in
//! hand beside it that was delivered before too.
//!
//! It may have killed the process that had it, and each message in the hands of a process that dies has been delivered
//! once more. So what is in hand together must not come together again: it would go to the dead letters with the culprit.
//! A partition whose last worker left a message unfinished is therefore asked through a door, one at a time, and who got
//! such a message keeps the door until that is done. While one is handled alone no partition asks; what an earlier
//! request brings meanwhile is in hand for the first time.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Turns of one process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns {
    floor: Arc<RwLock<()>>,
    door: Arc<Mutex<()>>,
}

/// The turn of one message; ends with its drop.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Others run beside it.
    #[expect(dead_code, reason = "held to be dropped")]
    Together(OwnedRwLockReadGuard<()>),
    /// Nothing runs beside it.
    #[expect(dead_code, reason = "held to be dropped")]
    Alone(OwnedRwLockWriteGuard<()>),
}

/// Who has it may ask for what another left unfinished. Ends with its drop.
pub(crate) type Door = OwnedMutexGuard<()>;

impl Turns {
    /// Awaits that no message runs alone, nor waits to.
    pub async fn calm(&self) {
        drop(self.floor.read().await);
    }

    /// Awaits the door.
    pub async fn door(&self) -> Door {
        Arc::clone(&self.door).lock_owned().await
    }

    /// Awaits that a message may be handled, alone or beside others. Turns are given in the order of asking.
    pub async fn take(&self, alone: bool) -> Turn {
        let floor = Arc::clone(&self.floor);
        match alone {
            true => Turn::Alone(floor.write_owned().await),
            false => Turn::Together(floor.read_owned().await),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_that_runs_alone_waits_for_others_and_they_for_it() {
        let turns = Turns::default();
        let first = turns.take(false).await;
        let second = turns.take(false).now_or_never();
        assert!(second.is_some(), "they run side by side");
        drop(second);
        let alone = turns.clone();
        let mut alone = tokio::spawn(async move { alone.take(true).await });
        // It stands in line, before those who come later.
        while turns.calm().now_or_never().is_some() {
            tokio::task::yield_now().await;
        }
        assert!(turns.take(false).now_or_never().is_none());
        assert!((&mut alone).now_or_never().is_none(), "one still runs");
        drop(first);
        let alone = alone.await.unwrap();
        assert!(turns.take(false).now_or_never().is_none());
        assert!(turns.calm().now_or_never().is_none());
        drop(alone);
        assert!(turns.take(false).now_or_never().is_some());
        assert!(turns.calm().now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_at_a_time_passes_the_door() {
        let turns = Turns::default();
        let door = turns.door().await;
        assert!(turns.clone().door().now_or_never().is_none());
        drop(door);
        assert!(turns.door().now_or_never().is_some());
    }
}
