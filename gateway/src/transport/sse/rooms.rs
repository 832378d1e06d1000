//! The rooms of one stream: what is asked of the session, and in which order what comes of it goes out. No IO.
//!
//! At first what was missed of all rooms is merged by time, page by page, and nothing goes out past a room whose next page
//! is not there; but no more than a bound is kept for that. From then on rooms do not wait for each other. Within a room
//! the order is that of its offsets, whatever happens.

mod item;
mod told;

use std::collections::{HashMap, VecDeque};

use serde_json::json;

use super::cursor::{self, Key, Positions};
use crate::names::{Epoch, Offset, RoomName};
use crate::protocol::Since;
use crate::transport::shard::wire::Payload;
use item::Item;
pub(super) use item::Out;
pub(super) use told::Told;

/// Rooms that are asked for at once.
const ASKED_AT_ONCE: usize = 8;

/// All rooms of a stream.
pub(super) struct Rooms {
    rooms: Vec<Room>,
    by_name: HashMap<RoomName, usize>,
    salt: u8,
    presence: bool,
    /// Whether rooms wait for each other still.
    merging: bool,
    /// Bytes that wait to go out.
    held: usize,
    /// So many may, before order among rooms is given up.
    most: usize,
    asked: usize,
}

struct Room {
    name: RoomName,
    key: Key,
    /// Up to where everything has gone out.
    position: Option<Since>,
    state: State,
    /// In order.
    queue: VecDeque<Item>,
    /// Live messages that came while it is asked what was missed before them.
    aside: VecDeque<Item>,
    /// Whether it was answered once.
    answered: bool,
    /// Why it may not be had.
    lost: Option<Lost>,
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

/// A room that may not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) code: String,
    pub(super) message: String,
}

impl Rooms {
    /// A stream of these rooms, each once, which goes on `from` there. Up to `most` bytes are kept to order them.
    pub(super) fn new(
        names: Vec<RoomName>,
        from: Option<&Positions>,
        presence: bool,
        most: usize,
    ) -> Self {
        let (salt, keys) = cursor::keys(&names);
        let by_name = names.iter().cloned().zip(0..).collect();
        let room = |(name, key)| Room {
            position: from.and_then(|from| from.of(&name)),
            name,
            key,
            state: State::ToAsk,
            queue: VecDeque::new(),
            aside: VecDeque::new(),
            answered: false,
            lost: None,
        };
        Self {
            rooms: names.into_iter().zip(keys).map(room).collect(),
            by_name,
            salt,
            presence,
            merging: true,
            held: 0,
            most,
            asked: 0,
        }
    }

    /// The next request, if there is one to make now.
    pub(super) fn request(&mut self) -> Option<String> {
        if self.asked >= ASKED_AT_ONCE || self.held >= self.most {
            return None;
        }
        let wants = |room: &Room| room.state == State::ToAsk && room.queue.is_empty();
        let index = self.rooms.iter().position(wants)?;
        let room = &mut self.rooms[index];
        room.state = State::Asked;
        self.asked += 1;
        let mut request = json!({"type": "subscribe", "id": index, "room": room.name.as_str(), "presence": self.presence});
        if let Some(Since { epoch, offset }) = &room.position {
            request["since"] = json!({"epoch": epoch.as_str(), "offset": offset.0});
        }
        Some(request.to_string())
    }

    /// Whether each room was answered at least once.
    pub(super) fn all_answered(&self) -> bool {
        self.rooms.iter().all(|room| room.answered)
    }

    /// Bytes that wait to go out.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Why no room may be had, where none may.
    pub(super) fn refusal(&self) -> Option<Lost> {
        match self.all_gone() {
            true => self.rooms.first()?.lost.clone(),
            false => None,
        }
    }

    /// Whether no room is left.
    pub(super) fn all_gone(&self) -> bool {
        self.rooms.iter().all(|room| room.state == State::Gone)
    }

    /// The cursor of all that has gone out.
    pub(super) fn cursor(&self) -> Option<String> {
        let positions = self.rooms.iter();
        let positions = positions.filter_map(|room| Some((room.key, room.position.as_ref()?)));
        cursor::write(self.salt, positions)
    }

    /// A room was subscribed to.
    pub(super) fn subscribed(&mut self, told: &Told<'_>, payload: &Payload) {
        let Some(index) = self.answered(told) else {
            return;
        };
        let room = &mut self.rooms[index];
        let at = told.position();
        room.state = match told.more {
            Some(true) => State::ToAsk,
            _ => State::Live,
        };
        match (told.recovered, at) {
            (Some(true), Some(at)) => {
                for message in told.messages.iter().flatten() {
                    if let Some(item) = Item::of_page(message, payload, &at.epoch) {
                        self.held += item.bytes();
                        room.queue.push_back(item);
                    }
                }
                room.queue.push_back(Item::Position(at));
            }
            (Some(false), at) => {
                let mut gap =
                    json!({"type": "gap", "room": room.name.as_str(), "recovered": false});
                if let Some(Since { epoch, offset }) = &at {
                    gap["epoch"] = json!(epoch.as_str());
                    gap["offset"] = json!(offset.0);
                }
                room.queue.push_back(Item::Gap(gap.to_string(), at));
            }
            (_, Some(at)) => room.queue.push_back(Item::Position(at)),
            (_, None) => room.position = None,
        }
        let aside = std::mem::take(&mut room.aside);
        match room.state {
            State::Live => room.queue.extend(aside), // what the answer covers is passed over when it would go out
            _ => self.held -= aside.iter().map(Item::bytes).sum::<usize>(), // it is in the next pages
        }
    }

    /// A request was refused for now: it is made again.
    pub(super) fn postponed(&mut self, told: &Told<'_>) {
        if let Some(index) = self.index(told) {
            self.asked -= 1;
            self.rooms[index].state = State::ToAsk;
        }
    }

    /// A request was refused for good.
    pub(super) fn refused(&mut self, told: &Told<'_>) {
        let lost = told.lost();
        if let Some(index) = self.answered(told) {
            self.lose(index, lost);
        }
    }

    /// The gateway has ended a subscription.
    pub(super) fn unsubscribed(&mut self, told: &Told<'_>) {
        let Some(&index) = self.find(told) else {
            return;
        };
        let lost = told.lost();
        match self.rooms[index].state {
            // Its client was slow: the rest is asked for when that has taken what is here.
            State::ToAsk | State::Asked if lost.code == "catch_up_timeout" => {}
            State::Asked => {} // the answer says it too
            State::Gone => {}
            _ => self.lose(index, lost),
        }
    }

    /// A live message.
    pub(super) fn message(&mut self, told: &Told<'_>, payload: Payload) {
        let Some(&index) = self.find(told) else {
            return;
        };
        let room = &mut self.rooms[index];
        let item = Item::Live {
            at: told.timestamp.unwrap_or(0),
            offset: told.offset.map(Offset),
            payload,
        };
        self.held += item.bytes();
        match room.state {
            State::Live => room.queue.push_back(item),
            State::Gone => self.held -= item.bytes(),
            State::ToAsk | State::Asked => room.aside.push_back(item),
        }
    }

    /// Something of a live room was missed. In a room with history it is asked for.
    pub(super) fn gap(&mut self, told: &Told<'_>, payload: Payload) {
        let Some(&index) = self.find(told) else {
            return;
        };
        match (told.position(), self.rooms[index].state) {
            // What waits to go out comes first, and it is asked from the position after that.
            (Some(_), State::Live) => self.rooms[index].state = State::ToAsk,
            (Some(_), _) => {}
            (None, _) => self.other("gap", told, payload),
        }
    }

    /// Something else about a room, behind what waits of it.
    pub(super) fn other(&mut self, name: &'static str, told: &Told<'_>, payload: Payload) {
        if let Some(&index) = self.find(told) {
            let item = Item::Other(name, payload);
            self.held += item.bytes();
            self.rooms[index].queue.push_back(item);
        }
    }

    /// What goes out next, if something may.
    pub(super) fn next(&mut self) -> Option<Out> {
        loop {
            let index = self.turn()?;
            let room = &mut self.rooms[index];
            let item = room.queue.pop_front()?;
            self.held -= item.bytes();
            if let Some(out) = room.send(item) {
                return Some(out);
            }
        }
    }

    /// The room whose turn it is.
    fn turn(&mut self) -> Option<usize> {
        if self.merging {
            let complete = |room: &Room| matches!(room.state, State::Live | State::Gone);
            let waits = |room: &Room| !complete(room) && room.queue.is_empty();
            if self.held < self.most && self.rooms.iter().any(waits) {
                return None;
            }
            self.merging = !self.rooms.iter().all(complete)
                || self.rooms.iter().any(|room| !room.queue.is_empty());
        }
        let filled = self.rooms.iter().enumerate();
        let filled = filled.filter_map(|(index, room)| Some((room.queue.front()?.at(), index)));
        filled.min().map(|(_, index)| index)
    }

    fn answered(&mut self, told: &Told<'_>) -> Option<usize> {
        let index = self.index(told)?;
        self.asked -= 1;
        self.rooms[index].answered = true;
        Some(index)
    }

    /// The room that a request was about.
    fn index(&self, told: &Told<'_>) -> Option<usize> {
        let index = usize::try_from(told.id?).ok()?;
        let room = self.rooms.get(index)?;
        (room.state == State::Asked).then_some(index)
    }

    fn find(&self, told: &Told<'_>) -> Option<&usize> {
        let room = RoomName::parse(told.room.as_deref()?).ok()?;
        self.by_name.get(&room)
    }

    fn lose(&mut self, index: usize, lost: Lost) {
        let room = &mut self.rooms[index];
        let Lost { code, message } = &lost;
        room.state = State::Gone;
        self.held -= room.aside.drain(..).map(|item| item.bytes()).sum::<usize>();
        let told = json!({"type": "unsubscribed", "room": room.name.as_str(), "code": code, "message": message});
        room.queue.push_back(Item::Unsubscribed(told.to_string()));
        room.lost = Some(lost);
    }
}

impl Room {
    /// Makes an item what goes out, and moves the position past it; nothing where it was there before.
    fn send(&mut self, item: Item) -> Option<Out> {
        match item {
            Item::Live {
                offset, payload, ..
            } => {
                self.pass(offset)?;
                Some(Out::message(payload.to_vec(), offset.is_some()))
            }
            Item::Paged {
                since,
                payload,
                range,
                ..
            } => {
                let there = self.position.as_ref();
                if there.is_some_and(|at| at.epoch == since.epoch && at.offset >= since.offset) {
                    return None;
                }
                self.position = Some(since);
                let name = json!(self.name.as_str());
                let head = format!(r#"{{"type":"message","room":{name},"#);
                // What follows the brace of an object that is not empty.
                let message = [head.as_bytes(), &payload[range][1..]].concat();
                Some(Out::message(message, true))
            }
            Item::Position(at) => {
                let moved = self.position.as_ref() != Some(&at);
                self.position = Some(at);
                moved.then(Out::position)
            }
            Item::Gap(gap, at) => {
                let moves = at.is_some();
                self.position = at;
                Some(Out::event("gap", gap.into_bytes(), moves))
            }
            Item::Unsubscribed(told) => Some(Out::event("unsubscribed", told.into_bytes(), false)),
            Item::Other(name, payload) => Some(Out::event(name, payload.to_vec(), false)),
        }
    }

    /// Moves on to a live message; `None` where it was there before.
    fn pass(&mut self, offset: Option<Offset>) -> Option<()> {
        let Some(offset) = offset else {
            return Some(());
        };
        // A room with history has a position since its subscription was answered.
        let at = self.position.as_mut()?;
        if offset <= at.offset {
            return None;
        }
        at.offset = offset;
        Some(())
    }
}

impl Told<'_> {
    fn position(&self) -> Option<Since> {
        Some(Since {
            epoch: Epoch::from_client(self.epoch.as_deref()?),
            offset: Offset(self.offset?),
        })
    }

    fn lost(&self) -> Lost {
        let text = |text: &Option<std::borrow::Cow<'_, str>>| {
            text.as_deref().unwrap_or_default().to_owned()
        };
        Lost {
            code: text(&self.code),
            message: text(&self.message),
        }
    }
}

#[cfg(test)]
mod tests;
