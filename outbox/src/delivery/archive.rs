//! What rooms hold: ids of messages in their histories, read once for many rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use crate::gateway::{Gateway, Unread};
use crate::row::Row;

/// By how many milliseconds the clocks of the database and of the stream may differ.
const SKEW: u64 = 60_000;
/// Rooms whose ids are kept; beyond it all are read anew.
const ROOMS: usize = 1_000;

/// Ids of messages in rooms.
#[derive(Debug, Default)]
pub struct Archive {
    rooms: Mutex<HashMap<String, Arc<Mutex<Option<Scan>>>>>,
}

/// Whether a row is in its room's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The room keeps no history, or does not show it; and why.
    Unproven(String),
}

/// A room as it was read.
#[derive(Debug)]
struct Scan {
    began: Instant,
    /// All from this time on was read, in milliseconds since the Unix epoch.
    reaches: u64,
    ids: HashSet<Uuid>,
}

impl Scan {
    /// Whether it tells of a row that was published before `since` or never.
    fn tells_of(&self, row: &Row, since: Instant) -> bool {
        self.began >= since && self.reaches <= floor(row)
    }
}

/// No copy of a row was stored before.
fn floor(row: &Row) -> u64 {
    row.created.saturating_sub(SKEW)
}

impl Archive {
    /// Whether `row` is in its room, if it came there before `since`.
    ///
    /// # Errors
    /// When that can't be told now, with the reason.
    pub async fn look(&self, gateway: &Gateway, row: &Row, since: Instant) -> Result<Seen, String> {
        let room = self.room(&row.room).await;
        // Others who ask for the same room wait here, and find what was read.
        let mut room = room.lock().await;
        if !room.as_ref().is_some_and(|scan| scan.tells_of(row, since)) {
            match scan(gateway, row).await {
                Ok(new) => *room = Some(new),
                Err(Unread::Later(reason)) => return Err(reason),
                Err(Unread::Never(reason)) => return Ok(Seen::Unproven(reason)),
            }
        }
        let known = room.as_ref().is_some_and(|scan| scan.ids.contains(&row.id));
        Ok(if known { Seen::Yes } else { Seen::No })
    }

    async fn room(&self, name: &str) -> Arc<Mutex<Option<Scan>>> {
        let mut rooms = self.rooms.lock().await;
        if rooms.len() >= ROOMS {
            rooms.clear();
        }
        Arc::clone(rooms.entry(name.to_owned()).or_default())
    }
}

/// Reads the room of `row` from its newest message back to when the row was written.
async fn scan(gateway: &Gateway, row: &Row) -> Result<Scan, Unread> {
    let began = Instant::now();
    let mut ids = HashSet::new();
    let mut before = None;
    loop {
        let page = gateway.history(&row.room, before).await?;
        let data = page.messages.iter().map(|message| message.data.get());
        ids.extend(data.filter_map(own_id));
        let oldest = page.messages.first();
        let reaches = match oldest {
            Some(oldest) if oldest.timestamp < floor(row) => floor(row),
            Some(oldest) if page.more => {
                before = Some(oldest.offset);
                continue;
            }
            // That is all that the room has.
            _ => 0,
        };
        return Ok(Scan {
            began,
            reaches,
            ids,
        });
    }
}

/// The id that a message tells of itself: the member `id` of its data. Ids that stand elsewhere in it may be those of other
/// messages, which must not be taken for published because somebody speaks of them.
fn own_id(data: &str) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        id: Option<&'a str>,
    }
    let envelope: Envelope<'_> = serde_json::from_str(data).ok()?;
    Uuid::try_parse(envelope.id?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_its_own_id_and_no_other() {
        let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
        let text = format!(r#"{{"refers":"{two}","data":{{"id":"{two}"}},"id":"{one}"}}"#);
        assert_eq!(own_id(&text), Some(one));
        for text in [
            r#"{"id":7}"#,
            r#"{"id":null}"#,
            r#"{"id":"7"}"#,
            "[]",
            "7",
            "{}",
        ] {
            assert_eq!(own_id(text), None, "{text}");
        }
        assert_eq!(own_id(&format!("\"{one}\"")), None);
    }

    #[test]
    fn a_scan_tells_only_of_what_it_has_read() {
        let row = crate::row::testing::row("a", 1);
        let began = Instant::now();
        let scan = |reaches| Scan {
            began,
            reaches,
            ids: HashSet::new(),
        };
        assert!(scan(0).tells_of(&row, began));
        assert!(scan(row.created - SKEW).tells_of(&row, began));
        assert!(
            !scan(row.created - SKEW + 1).tells_of(&row, began),
            "it may be older"
        );
        let later = began + std::time::Duration::from_millis(1);
        assert!(!scan(0).tells_of(&row, later), "it may have come later");
    }
}
