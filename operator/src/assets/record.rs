//! What a channel has left on brokers that it had before. Nobody deletes that: people must be told where it is.

use serde::{Deserialize, Serialize};

/// Brokers whose streams are remembered.
const REMEMBERED: usize = 8;

/// Where a channel's streams are. Kept beside its configuration in the cluster, since the broker that it had is
/// nowhere else to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// Servers of the broker in use; empty: it is embedded.
    pub urls: Vec<String>,
    /// Streams that were made there and are history.
    pub streams: Vec<String>,
    /// What was left on others, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
}

/// Streams that were left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Servers of the broker.
    pub urls: Vec<String>,
    /// Their names.
    pub streams: Vec<String>,
}

impl Record {
    /// What is to be recorded now that the broker is at `urls` (empty: embedded) and `streams` are the history there.
    #[must_use]
    pub fn next(self, mut urls: Vec<String>, streams: Vec<String>) -> Self {
        // The order of servers says nothing.
        urls.sort_unstable();
        urls.dedup();
        let Self {
            urls: before,
            streams: had,
            mut left,
        } = self;
        // Servers in common: one more or less of them is the same broker.
        let same = before == urls || before.iter().any(|url| urls.contains(url));
        if !same && !before.is_empty() && !had.is_empty() {
            left.retain(|one| one.urls != before);
            left.push(Left {
                urls: before,
                streams: had.clone(),
            });
        }
        // Back on a broker: what was left there is in use again, or found there.
        left.retain(|one| !one.urls.iter().any(|url| urls.contains(url)));
        let excess = left.len().saturating_sub(REMEMBERED);
        left.drain(..excess);
        Self {
            urls,
            streams,
            left,
        }
    }
}

impl Record {
    /// The same where the broker at `urls` could not be asked: what is known of streams there stays, and `streams` may
    /// be there as well.
    #[must_use]
    pub fn moved(self, urls: Vec<String>, mut streams: Vec<String>) -> Self {
        let stay = self.clone().next(urls.clone(), Vec::new()).left == self.left;
        if stay {
            streams.extend(self.streams.iter().cloned());
            streams.sort_unstable();
            streams.dedup();
        }
        self.next(urls, streams)
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.streams.join(", "), self.urls.join(", "))
    }
}
