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
    /// A bit per slot that is not empty: nobody wakes up for an empty one.
    taken: [u64; SLOTS / 64],
}

impl Wheel {
    /// A wheel whose clock begins at `start`.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            now: 0,
            slots: vec![Vec::new(); SLOTS],
            taken: [0; SLOTS / 64],
        }
    }

    /// The tick that the clock shows. Wraps after 13 years.
    pub fn now(&self) -> u32 {
        self.now
    }

    /// Puts a connection down to be looked at; gives the tick at which it will be, which may be earlier.
    pub fn insert(&mut self, at: u32, entry: Entry) -> u32 {
        let at = at.clamp(self.now + 1, self.now + SLOTS as u32 - 1);
        let slot = at as usize % SLOTS;
        self.slots[slot].push(entry);
        self.taken[slot / 64] |= 1 << (slot % 64);
        at
    }

    /// Moves the clock, and takes who is to be looked at.
    pub fn advance(&mut self, now: Instant, due: &mut Vec<Entry>) {
        let target = (now.duration_since(self.start).as_millis() / TICK.as_millis()) as u32;
        while self.now < target {
            self.now += 1;
            let index = self.now as usize % SLOTS;
            self.taken[index / 64] &= !(1 << (index % 64));
            let slot = &mut self.slots[index];
            due.append(slot);
            if slot.capacity() > 64 {
                *slot = Vec::new();
            }
        }
    }

    /// How long until the next tick at which somebody is to be looked at, if any.
    pub fn timeout(&self, now: Instant) -> Option<Duration> {
        let at = self.now + self.ticks_to_next()?;
        Some((self.start + TICK * at).saturating_duration_since(now))
    }

    /// Ticks from now to the next slot that is not empty.
    fn ticks_to_next(&self) -> Option<u32> {
        let first = (self.now as usize + 1) % SLOTS;
        let words = self.taken.len();
        // The word of the first slot comes up twice: its upper bits first, its lower bits last.
        (0..=words).find_map(|step| {
            let word = (first / 64 + step) % words;
            let from = first % 64;
            let mask = match step {
                0 => !0 << from,
                _ if step == words => !(!0 << from),
                _ => !0,
            };
            let bits = self.taken[word] & mask;
            let slot = word * 64 + bits.trailing_zeros() as usize;
            (bits != 0).then(|| ((slot + SLOTS - first) % SLOTS) as u32 + 1)
        })
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
    fn the_wait_is_until_the_next_entry_wherever_the_clock_stands() {
        for now in [0, 1, 62, 63, 64, 500, 1022, 1023, 1024, 3000] {
            for ahead in [1, 2, 63, 64, 65, 700, 1023] {
                let start = Instant::now();
                let mut wheel = Wheel::new(start);
                let at = start + TICK * now;
                wheel.advance(at, &mut Vec::new());
                wheel.insert(now + ahead, (1, 1));
                assert_eq!(wheel.timeout(at), Some(TICK * ahead), "{now} + {ahead}");
            }
        }
    }

    #[test]
    fn durations_become_ticks_rounded_up() {
        assert_eq!(ticks(Duration::from_millis(1)), 1);
        assert_eq!(ticks(Duration::from_secs(25)), 250);
    }
}
