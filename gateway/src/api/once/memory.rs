//! Answers of a process that is the only gateway: bounded in bytes and in time, and gone with it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{KEPT, Record};

/// Bytes of answers; beyond it the oldest go.
const BYTES: usize = 16 * 1024 * 1024;
/// How long a call may be under way: longer than any takes that does not fail within.
const CLAIM: Duration = Duration::from_secs(20);
/// Memory of a record beside its texts: map entry, queue entry, allocations.
const FOOTPRINT: usize = 512;

/// Records by key, oldest first.
#[derive(Debug, Default)]
pub(in crate::api) struct Memory(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    /// With when they were put down.
    by_id: HashMap<String, (Instant, Record)>,
    /// Those with an answer, by when it came.
    answered: VecDeque<(Instant, String)>,
    bytes: usize,
}

impl Memory {
    /// Puts a record down where there is none; else gives the one that there is.
    pub(super) fn claim(&self, id: &str, record: Record) -> Option<Record> {
        let mut records = self.records();
        records.forget();
        if let Some((at, known)) = records.by_id.get(id)
            && (known.answer.is_some() || at.elapsed() < CLAIM)
        {
            return Some(known.clone());
        }
        records
            .by_id
            .insert(id.to_owned(), (Instant::now(), record));
        None
    }

    /// Puts the answer down.
    pub(super) fn settle(&self, id: &str, record: Record) {
        let mut records = self.records();
        if records.is_answered(id) {
            return; // by another, after this one's claim had ended
        }
        records.bytes += footprint(&record);
        let now = Instant::now();
        records.by_id.insert(id.to_owned(), (now, record));
        records.answered.push_back((now, id.to_owned()));
        records.forget();
    }

    /// Forgets a call that is under way.
    pub(super) fn release(&self, id: &str) {
        let mut records = self.records();
        if !records.is_answered(id) {
            records.by_id.remove(id);
        }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // It is whole between two calls, also if a thread has panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Records {
    fn is_answered(&self, id: &str) -> bool {
        let known = self.by_id.get(id);
        known.is_some_and(|(_, known)| known.answer.is_some())
    }

    fn forget(&mut self) {
        while let Some((at, _)) = self.answered.front()
            && (self.bytes > BYTES || at.elapsed() >= KEPT)
        {
            let oldest = self.answered.pop_front();
            let record = oldest.and_then(|(_, id)| self.by_id.remove(&id));
            self.bytes -= record.map_or(0, |(_, record)| footprint(&record));
        }
    }
}

fn footprint(record: &Record) -> usize {
    FOOTPRINT + record.answer.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: usize) -> Record {
        Record {
            fingerprint: "f".into(),
            answer: Some("x".repeat(bytes)),
        }
    }

    fn claim() -> Record {
        Record {
            fingerprint: "f".into(),
            answer: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_kept_for_a_day() {
        let memory = Memory::default();
        assert_eq!(memory.claim("a", claim()), None);
        memory.settle("a", record(1));
        tokio::time::advance(KEPT - Duration::from_secs(1)).await;
        assert_eq!(memory.claim("a", claim()), Some(record(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(memory.claim("a", claim()), None);
        assert_eq!(memory.records().bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_is_never_settled_ends() {
        let memory = Memory::default();
        assert_eq!(memory.claim("a", claim()), None);
        assert_eq!(memory.claim("a", claim()), Some(claim()));
        tokio::time::advance(CLAIM).await;
        assert_eq!(memory.claim("a", claim()), None);
    }

    #[tokio::test]
    async fn beyond_its_bytes_the_oldest_answers_go() {
        let memory = Memory::default();
        for n in 0..100 {
            memory.claim(&n.to_string(), claim());
            memory.settle(&n.to_string(), record(BYTES / 10));
        }
        assert!(memory.records().bytes <= BYTES);
        assert_eq!(memory.claim("0", claim()), None);
        assert!(memory.claim("99", claim()).is_some());
    }
}
