//! The rooms of one subscription: what is asked of the session, and what of its answers goes out. No IO.
//!
//! Within a room everything goes out in the order of its offsets, once, whatever happens; rooms do not wait for each other.
//! While a room is asked for, live messages of it that have an offset are passed over: they are in the pages to come.

use std::collections::HashMap;

use linnet_proto::v1::converse_request::Command;
use linnet_proto::v1::converse_response::Event;
use linnet_proto::v1::subscribe_response::Event as Told;
use linnet_proto::v1::{
    ConverseRequest, ConverseResponse, Error, Gap, Join, Joined, Message, Position,
    SubscribeResponse, Unsubscribed,
};

use crate::names::{Epoch, Offset, RoomName};
use crate::protocol::Since;
use crate::transport::sse::cursor::{self, Cursor, Key, Positions};

/// Most rooms of a stream, whatever `limits.roomsPerConnection` says: the cursor of more would be large for what it is.
pub const MOST: usize = 512;

/// Rooms that are asked for at once.
const ASKED_AT_ONCE: usize = 8;

/// All rooms of a subscription.
#[derive(Debug)]
pub struct Rooms {
    rooms: Vec<Room>,
    by_name: HashMap<RoomName, usize>,
    salt: u8,
    presence: bool,
    asked: usize,
    /// Whether any room has moved since the cursor was told.
    moved: bool,
}

#[derive(Debug)]
struct Room {
    name: RoomName,
    key: Key,
    /// Up to where everything has gone out.
    position: Option<Since>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is to be asked for: for the first time, again, or for its next page.
    ToAsk,
    /// The answer is awaited.
    Asked,
    /// Messages come as they are published.
    Live,
    /// It may not be had.
    Gone,
}

/// A text that no gateway has given as a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is none that a gateway gave")]
pub struct BadCursor;

/// What a frame amounts to, beside what goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heeded {
    /// Nothing more.
    Nothing,
    /// Nothing is asked for during this many milliseconds.
    Wait(u64),
    /// The gateway goes away.
    GoAway,
}

impl Rooms {
    /// These rooms, each once, from where `cursor` says on.
    ///
    /// # Errors
    /// When that is none.
    pub fn new(names: Vec<RoomName>, cursor: &str, presence: bool) -> Result<Self, BadCursor> {
        let from: Option<Positions> = match cursor {
            "" => None,
            text => match Cursor::read(text) {
                Ok(Cursor::At(positions)) => Some(positions),
                _ => return Err(BadCursor),
            },
        };
        let (salt, keys) = cursor::keys(&names);
        let by_name = names.iter().cloned().zip(0..).collect();
        let room = |(name, key)| Room {
            position: from.as_ref().and_then(|from| from.of(&name)),
            name,
            key,
            state: State::ToAsk,
        };
        Ok(Self {
            rooms: names.into_iter().zip(keys).map(room).collect(),
            by_name,
            salt,
            presence,
            asked: 0,
            moved: false,
        })
    }

    /// The next request, if there is one to make now.
    pub fn request(&mut self) -> Option<ConverseRequest> {
        if self.asked >= ASKED_AT_ONCE {
            return None;
        }
        let wants = |room: &Room| room.state == State::ToAsk;
        let index = self.rooms.iter().position(wants)?;
        let room = &mut self.rooms[index];
        room.state = State::Asked;
        self.asked += 1;
        let since = room.position.as_ref().map(|at| Position {
            epoch: at.epoch.as_str().to_owned(),
            offset: at.offset.0,
        });
        Some(ConverseRequest {
            id: Some(index as u64),
            command: Some(Command::Subscribe(Join {
                room: room.name.to_string(),
                since,
                presence: self.presence,
            })),
        })
    }

    /// Whether no room is left.
    #[must_use]
    pub fn all_gone(&self) -> bool {
        self.rooms.iter().all(|room| room.state == State::Gone)
    }

    /// The cursor of all that has gone out; empty where no room has a position.
    #[must_use]
    pub fn cursor(&self) -> String {
        let positions = self.rooms.iter();
        let positions = positions.filter_map(|room| Some((room.key, room.position.as_ref()?)));
        cursor::write(self.salt, positions).unwrap_or_default()
    }

    /// Takes what the session tells, and puts what goes out into `out`.
    pub fn heed(&mut self, told: ConverseResponse, out: &mut Vec<SubscribeResponse>) -> Heeded {
        let Some(event) = told.event else {
            return Heeded::Nothing;
        };
        match event {
            Event::Connected(connected) => self.tell(Told::Connected(connected), out),
            Event::Direct(message) => self.tell(Told::Direct(message), out),
            Event::TokenExpiring(soon) => self.tell(Told::TokenExpiring(soon), out),
            Event::PresenceChange(change) => self.tell(Told::PresenceChange(change), out),
            Event::Message(message) => self.message(message, out),
            Event::Subscribed(joined) => {
                if let Some(index) = self.answered(told.id) {
                    self.joined(index, joined, out);
                }
            }
            Event::Error(error) => {
                let Some(index) = self.answered(told.id) else {
                    return Heeded::Nothing;
                };
                if passes(&error.code) {
                    self.rooms[index].state = State::ToAsk;
                    return Heeded::Wait(error.retry_after_ms.unwrap_or(1000));
                }
                self.lose(index, error, out);
            }
            Event::Gap(gap) => self.gap(gap, out),
            Event::Unsubscribed(ended) => self.ended(ended, out),
            Event::GoAway(_) => return Heeded::GoAway,
            _ => {} // it asks for nothing else
        }
        Heeded::Nothing
    }

    fn joined(&mut self, index: usize, joined: Joined, out: &mut Vec<SubscribeResponse>) {
        let at = joined.position.as_ref().map(since);
        self.rooms[index].state = match joined.more {
            true => State::ToAsk,
            false => State::Live,
        };
        match joined.recovered {
            Some(false) => {
                self.move_to(index, at);
                let room = self.rooms[index].name.to_string();
                let gap = Gap {
                    room,
                    reason: "not_recovered".to_owned(),
                    position: joined.position,
                };
                self.tell(Told::Gap(gap), out);
            }
            _ => {
                if let Some(at) = &at {
                    for message in joined.messages {
                        let offset = message.offset.unwrap_or_default();
                        let epoch = at.epoch.clone();
                        let to = Since {
                            epoch,
                            offset: Offset(offset),
                        };
                        if self.passes_by(index, &to) {
                            continue;
                        }
                        self.move_to(index, Some(to));
                        self.tell(Told::Message(message), out);
                    }
                }
                self.move_to(index, at);
            }
        }
        if self.moved {
            let cursor = self.take_cursor();
            out.push(SubscribeResponse {
                cursor,
                event: None,
            });
        }
    }

    fn message(&mut self, message: Message, out: &mut Vec<SubscribeResponse>) {
        let Some(index) = self.find(&message.room) else {
            return;
        };
        let room = &self.rooms[index];
        match (message.offset, &room.position) {
            (_, _) if room.state == State::Gone => return,
            (None, _) => {}
            (Some(offset), Some(at)) if room.state == State::Live => {
                let to = Since {
                    epoch: at.epoch.clone(),
                    offset: Offset(offset),
                };
                if self.passes_by(index, &to) {
                    return;
                }
                self.move_to(index, Some(to));
            }
            (Some(_), _) => return, // it is in the pages to come
        }
        self.tell(Told::Message(message), out);
    }

    /// Something of a live room was missed. In a room with history it is asked for.
    fn gap(&mut self, gap: Gap, out: &mut Vec<SubscribeResponse>) {
        let Some(index) = self.find(&gap.room) else {
            return;
        };
        match (&gap.position, self.rooms[index].state) {
            (Some(_), State::Live) => self.rooms[index].state = State::ToAsk,
            (Some(_), _) => {}
            (None, _) => self.tell(Told::Gap(gap), out),
        }
    }

    /// The gateway has ended a subscription.
    fn ended(&mut self, ended: Unsubscribed, out: &mut Vec<SubscribeResponse>) {
        let Some(index) = self.find(&ended.room) else {
            return;
        };
        let error = ended.error.unwrap_or_default();
        match self.rooms[index].state {
            // Its client was slow: the rest is asked for when that has taken what is here.
            State::ToAsk | State::Asked if error.code == "catch_up_timeout" => {}
            State::Asked | State::Gone => {} // the answer says it too
            State::ToAsk | State::Live => self.lose(index, error, out),
        }
    }

    fn lose(&mut self, index: usize, error: Error, out: &mut Vec<SubscribeResponse>) {
        self.rooms[index].state = State::Gone;
        let room = self.rooms[index].name.to_string();
        let error = Some(error);
        self.tell(Told::Unsubscribed(Unsubscribed { room, error }), out);
    }

    fn tell(&mut self, event: Told, out: &mut Vec<SubscribeResponse>) {
        let cursor = match self.moved {
            true => self.take_cursor(),
            false => String::new(),
        };
        out.push(SubscribeResponse {
            cursor,
            event: Some(event),
        });
    }

    fn take_cursor(&mut self) -> String {
        self.moved = false;
        self.cursor()
    }

    /// Whether a room was there before.
    fn passes_by(&self, index: usize, to: &Since) -> bool {
        let at = self.rooms[index].position.as_ref();
        at.is_some_and(|at| at.epoch == to.epoch && at.offset >= to.offset)
    }

    fn move_to(&mut self, index: usize, to: Option<Since>) {
        let room = &mut self.rooms[index];
        if room.position != to {
            room.position = to;
            self.moved = true;
        }
    }

    /// The room that an answer is about.
    fn answered(&mut self, id: Option<u64>) -> Option<usize> {
        let index = usize::try_from(id?).ok()?;
        let asked = self.rooms.get(index)?.state == State::Asked;
        asked.then(|| {
            self.asked -= 1;
            index
        })
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

fn since(position: &Position) -> Since {
    Since {
        epoch: Epoch::from_client(&position.epoch),
        offset: Offset(position.offset),
    }
}

/// Whether a subscribe that was refused with this code may be let through later.
fn passes(code: &str) -> bool {
    matches!(
        code,
        "rate_limited" | "overloaded" | "unavailable" | "broker_unauthorized"
    )
}

#[cfg(test)]
mod tests;
