//! A coarse timer wheel: one entry per connection, looked at when something may be due.

use std::time::{Duration, Instant};

/// Length of a tick of the shard's clock.
pub const TICK: Duration = Duration::from_millis(100);
/// Slots of the wheel; what is due later is looked at once in between.
const SLOTS: usize = 1024;

/// Who is to be looked at: a connection's slot and generation.
pub type Entry = (u32, u32);

/// Connections by the tick at which something may be due.
pub struct Wheel {
    start: Instant,
    /// The last tick that was taken.
    now: u32,
    slots: Vec<Vec<Entry>>,
    entries: usize,
}

impl Wheel {
    /// A wheel whose clock begins at `start`.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            now: 0,
            slots: vec![Vec::new(); SLOTS],
            entries: 0,
        }
    }

    /// The tick that the clock shows. Wraps after 13 years.
    pub fn now(&self) -> u32 {
        self.now
    }

    /// Puts a connection down to be looked at; gives the tick at which it will be, which may be earlier.
    pub fn insert(&mut self, at: u32, entry: Entry) -> u32 {
        let at = at.clamp(self.now + 1, self.now + SLOTS as u32 - 1);
        self.slots[at as usize % SLOTS].push(entry);
        self.entries += 1;
        at
    }

    /// Moves the clock, and takes who is to be looked at.
    pub fn advance(&mut self, now: Instant, due: &mut Vec<Entry>) {
        let target = (now.duration_since(self.start).as_millis() / TICK.as_millis()) as u32;
        while self.now < target {
            self.now += 1;
            let slot = &mut self.slots[self.now as usize % SLOTS];
            self.entries -= slot.len();
            due.append(slot);
            if slot.capacity() > 64 {
                *slot = Vec::new();
            }
        }
    }

    /// How long until the next tick, if anybody is to be looked at ever.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        (self.entries > 0)
            .then(|| (self.start + TICK * (self.now + 1)).saturating_duration_since(now))
    }
}

/// A duration in ticks, rounded up.
pub fn ticks(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis().div_ceil(TICK.as_millis())).unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_up_at_their_tick_and_far_ones_early() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        assert_eq!(wheel.timeout(start), None);
        assert_eq!(wheel.insert(3, (1, 1)), 3);
        assert_eq!(wheel.insert(0, (2, 1)), 1, "never in the past");
        assert_eq!(wheel.insert(5000, (3, 1)), 1023, "looked at on the way");
        let mut due = Vec::new();
        wheel.advance(start + TICK, &mut due);
        assert_eq!(due, [(2, 1)]);
        wheel.advance(start + TICK * 3, &mut due);
        assert_eq!(due, [(2, 1), (1, 1)]);
        wheel.advance(start + TICK * 1023, &mut due);
        assert_eq!(due.len(), 3);
        assert_eq!(wheel.timeout(start + TICK * 1023), None);
    }

    #[test]
    fn durations_become_ticks_rounded_up() {
        assert_eq!(ticks(Duration::from_millis(1)), 1);
        assert_eq!(ticks(Duration::from_secs(25)), 250);
    }
}
