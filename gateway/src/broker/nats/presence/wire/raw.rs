//! Messages as postcard writes them, and how they become types whose texts are checked. A change of a shape here is a new
//! version.

use serde::{Deserialize, Serialize};

use super::{Message, Page};
use crate::broker::Member;
use crate::broker::nats::presence::entry::{Attendee, Change, Key, ProcessId, Summary, Topic};
use crate::names::{ConnectionId, RoomName, UserId};

#[derive(Serialize, Deserialize)]
pub struct RawMessage<'a> {
    pub process: [u8; 16],
    pub life: u32,
    #[serde(borrow)]
    pub body: RawBody<'a>,
}

#[derive(Serialize, Deserialize)]
pub enum RawBody<'a> {
    Delta {
        first: u64,
        #[serde(borrow)]
        changes: Vec<RawChange<'a>>,
    },
    Digest {
        clock: u64,
        summary: Summary,
    },
    Ask {
        of: [u8; 16],
        since: Option<u64>,
    },
    Page {
        clock: u64,
        number: u32,
        of: u32,
        draining: bool,
        /// Topics are written once each.
        #[serde(borrow)]
        groups: Vec<(RawTopic<'a>, Vec<RawAttendee<'a>>)>,
    },
    Goodbye,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
pub enum RawTopic<'a> {
    Room(&'a str),
    User(&'a str),
}

#[derive(Serialize, Deserialize)]
pub struct RawAttendee<'a> {
    pub connection: [u8; 16],
    pub user: Option<&'a str>,
    pub info: Option<&'a str>,
    pub connected_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub enum RawChange<'a> {
    Set(
        #[serde(borrow)] RawTopic<'a>,
        #[serde(borrow)] RawAttendee<'a>,
    ),
    Remove(#[serde(borrow)] RawTopic<'a>, [u8; 16]),
    Drain,
}

/// What a message says; `None` if it is malformed.
pub fn body(raw: RawBody<'_>) -> Option<Message> {
    Some(match raw {
        RawBody::Delta { first, changes } => {
            first.checked_add(changes.len() as u64)?;
            let changes = changes.into_iter().map(change).collect::<Option<_>>()?;
            Message::Delta { first, changes }
        }
        RawBody::Digest { clock, summary } => Message::Digest { clock, summary },
        RawBody::Ask { of, since } => Message::Ask {
            of: ProcessId::from_bytes(of),
            since,
        },
        RawBody::Page {
            clock,
            number,
            of,
            draining,
            groups,
        } => {
            if number >= of {
                return None;
            }
            let mut entries = Vec::new();
            for (raw_topic, attendees) in groups {
                let topic = topic(raw_topic)?;
                for raw in attendees {
                    entries.push((topic.clone(), attendee(raw)?));
                }
            }
            Message::Page(Page {
                clock,
                number,
                of,
                draining,
                entries,
            })
        }
        RawBody::Goodbye => Message::Goodbye,
    })
}

fn change(raw: RawChange<'_>) -> Option<Change> {
    Some(match raw {
        RawChange::Set(raw_topic, raw) => Change::Set(topic(raw_topic)?, attendee(raw)?),
        RawChange::Remove(raw_topic, connection) => Change::Remove(Key::new(
            topic(raw_topic)?,
            ConnectionId::from_bytes(connection),
        )),
        RawChange::Drain => Change::Drain,
    })
}

fn topic(raw: RawTopic<'_>) -> Option<Topic> {
    match raw {
        RawTopic::Room(name) => RoomName::parse(name).ok().map(Topic::Room),
        RawTopic::User(name) => UserId::from_token(name).map(Topic::User),
    }
}

fn attendee(raw: RawAttendee<'_>) -> Option<Attendee> {
    let user = match raw.user {
        Some(name) => Some(UserId::from_token(name)?),
        None => None,
    };
    Some(Attendee {
        member: Member {
            connection: ConnectionId::from_bytes(raw.connection),
            user,
            info: raw.info.map(Into::into),
        },
        connected_ms: raw.connected_ms,
    })
}

pub fn raw_topic(topic: &Topic) -> RawTopic<'_> {
    match topic {
        Topic::Room(name) => RawTopic::Room(name.as_str()),
        Topic::User(name) => RawTopic::User(name.as_str()),
    }
}

pub fn raw_attendee(attendee: &Attendee) -> RawAttendee<'_> {
    let member = &attendee.member;
    RawAttendee {
        connection: *member.connection.as_bytes(),
        user: member.user.as_ref().map(UserId::as_str),
        info: member.info.as_deref(),
        connected_ms: attendee.connected_ms,
    }
}

pub fn raw_change(change: &Change) -> RawChange<'_> {
    match change {
        Change::Set(topic, attendee) => RawChange::Set(raw_topic(topic), raw_attendee(attendee)),
        Change::Remove(key) => {
            RawChange::Remove(raw_topic(&key.topic), *key.connection().as_bytes())
        }
        Change::Drain => RawChange::Drain,
    }
}
