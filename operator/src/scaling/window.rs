//! What was needed lately: gateways are taken away only once fewer were enough for a whole window.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A longer silence than this leaves open what was needed meanwhile: the window begins anew.
const SILENCE: Duration = Duration::from_secs(180);

/// What was needed lately, of one channel. It lives in this process only, so a restart begins a fresh window.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Since when it was looked at without a break, and when last.
    looked: Option<(Instant, Instant)>,
    /// What was needed when, without what a later and greater need hides: times grow, needs fall.
    needs: VecDeque<(Instant, i32)>,
}

impl Memory {
    /// So many are needed `now`. Gives how many were needed at most within `window`, or `None` while less than that has
    /// been seen.
    pub(super) fn most(&mut self, needed: i32, window: Duration, now: Instant) -> Option<i32> {
        let since = match self.looked {
            Some((since, last)) if now.duration_since(last) <= SILENCE => since,
            _ => {
                self.needs.clear();
                now
            }
        };
        self.looked = Some((since, now));
        while self.needs.back().is_some_and(|(_, need)| *need <= needed) {
            self.needs.pop_back();
        }
        self.needs.push_back((now, needed));
        let old = |(at, _): &(Instant, i32)| now.duration_since(*at) > window;
        while self.needs.front().is_some_and(old) {
            self.needs.pop_front();
        }
        let whole = now.duration_since(since) >= window;
        let most = self.needs.front().map_or(needed, |(_, need)| *need);
        whole.then_some(most)
    }
}
