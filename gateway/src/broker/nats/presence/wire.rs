//! What gateways write to each other: a byte for the version, then postcard. Texts are checked as they come in.
//!
//! A later version may not be understood here, and that is no fault: gateways of two versions meet during every upgrade.
//! Presence of the other kind is then missing until the upgrade is through.

mod raw;

use bytes::Bytes;
use serde::Serialize;

use self::raw::{
    RawAttendee, RawBody, RawMessage, RawTopic, body, raw_attendee, raw_change, raw_topic,
};
use super::entry::{Attendee, Change, Entries, Incarnation, ProcessId, Summary, Topic};

/// The version that this build writes and reads.
const VERSION: u8 = 1;
/// Bytes of entries after which a message is full. One entry is below 2 KiB (a room and a user of 256 bytes each, 1 KiB
/// of info), so no message comes near the 64 KiB up to which NATS is at its best.
const FULL: usize = 48 * 1024;

/// A message, read.
#[derive(Debug, PartialEq)]
pub(super) struct Received {
    pub from: Incarnation,
    pub what: Message,
}

/// What a message says.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
    /// Changes with the clocks `first`, `first + 1`, …
    Delta {
        first: u64,
        changes: Vec<Change>,
    },
    /// Where the sender stands.
    Digest {
        clock: u64,
        summary: Summary,
    },
    /// Asks the process for what happened after `since`, or for all it has.
    Ask {
        of: ProcessId,
        since: Option<u64>,
    },
    Page(Page),
    /// The sender ends.
    Goodbye,
}

/// A part of all entries at one clock.
#[derive(Debug, PartialEq)]
pub(super) struct Page {
    pub clock: u64,
    pub number: u32,
    /// How many pages there are, at least 1.
    pub of: u32,
    pub draining: bool,
    pub entries: Vec<(Topic, Attendee)>,
}

/// Why a message is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum WireError {
    /// Upgrade this gateway too.
    #[error("the message has the version {0}, which this gateway does not know")]
    Version(u8),
    /// Look for who else writes to the channel's subjects.
    #[error("the message is malformed")]
    Malformed,
}

/// Reads a message. No input makes it panic, or take more memory than a multiple of its size.
pub(super) fn read(bytes: &[u8]) -> Result<Received, WireError> {
    let raw: RawMessage<'_> = match bytes {
        [VERSION, rest @ ..] => match postcard::take_from_bytes(rest) {
            Ok((message, [])) => message,
            _ => return Err(WireError::Malformed),
        },
        [version, ..] => return Err(WireError::Version(*version)),
        [] => return Err(WireError::Malformed),
    };
    let what = body(raw.body).ok_or(WireError::Malformed)?;
    let process = ProcessId::from_bytes(raw.process);
    let life = raw.life;
    Ok(Received {
        from: Incarnation { process, life },
        what,
    })
}

/// Writes changes whose first has the clock `first`: as many messages as they need.
pub(super) fn deltas(from: Incarnation, first: u64, changes: &[Change]) -> Vec<Bytes> {
    let mut messages = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, change) in changes.iter().enumerate() {
        let grown = size + length(&raw_change(change));
        if grown > FULL && at > start {
            messages.push(delta(from, first + start as u64, &changes[start..at]));
            (start, size) = (at, grown - size);
        } else {
            size = grown;
        }
    }
    if start < changes.len() {
        messages.push(delta(from, first + start as u64, &changes[start..]));
    }
    messages
}

fn delta(from: Incarnation, first: u64, changes: &[Change]) -> Bytes {
    let changes = changes.iter().map(raw_change).collect();
    write(from, RawBody::Delta { first, changes })
}

/// Writes all entries as they are at `clock`: at least one page.
pub(super) fn pages(from: Incarnation, clock: u64, entries: &Entries) -> Vec<Bytes> {
    let mut pages: Vec<Vec<(RawTopic<'_>, Vec<RawAttendee<'_>>)>> = vec![Vec::new()];
    let (mut size, mut last) = (0, None);
    for (key, attendee) in entries.iter() {
        let (topic, attendee) = (raw_topic(&key.topic), raw_attendee(attendee));
        let length = length(&attendee);
        let mut begins = last != Some(&key.topic);
        if size > 0 && size + length + length_of(&topic) > FULL {
            pages.push(Vec::new());
            (size, begins) = (0, true);
        }
        size += length;
        let Some(page) = pages.last_mut() else {
            continue; // there is always one
        };
        if begins {
            size += length_of(&topic);
            last = Some(&key.topic);
            page.push((topic, Vec::new()));
        }
        if let Some((_, attendees)) = page.last_mut() {
            attendees.push(attendee);
        }
    }
    let of = pages.len() as u32;
    let draining = entries.is_draining();
    let numbered = (0..).zip(pages);
    numbered
        .map(|(number, groups)| {
            let page = RawBody::Page {
                clock,
                number,
                of,
                draining,
                groups,
            };
            write(from, page)
        })
        .collect()
}

/// Writes where the sender stands.
pub(super) fn digest(from: Incarnation, clock: u64, summary: Summary) -> Bytes {
    write(from, RawBody::Digest { clock, summary })
}

/// Writes a question for `of`.
pub(super) fn ask(from: Incarnation, of: ProcessId, since: Option<u64>) -> Bytes {
    let of = *of.as_bytes();
    write(from, RawBody::Ask { of, since })
}

/// Writes that the sender ends.
pub(super) fn goodbye(from: Incarnation) -> Bytes {
    write(from, RawBody::Goodbye)
}

/// An entry in the form whose hash gateways compare.
pub(super) fn entry(topic: &Topic, attendee: &Attendee) -> Vec<u8> {
    to_vec(&(raw_topic(topic), raw_attendee(attendee)))
}

fn length_of(topic: &RawTopic<'_>) -> usize {
    match topic {
        RawTopic::Room(name) | RawTopic::User(name) => name.len() + 8, // with both lengths and the kind
    }
}

fn length(value: &impl Serialize) -> usize {
    postcard::experimental::serialized_size(value).unwrap_or(FULL)
}

fn write(from: Incarnation, body: RawBody<'_>) -> Bytes {
    let message = RawMessage {
        process: *from.process.as_bytes(),
        life: from.life,
        body,
    };
    let mut bytes = vec![VERSION];
    bytes.extend(to_vec(&message));
    bytes.into()
}

/// Writing to memory fails for types of unknown length alone, which these are not.
fn to_vec(value: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
