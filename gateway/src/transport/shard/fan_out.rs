//! Fan-out in slices: a room's batches go to its members, so many at a time, and then it is another room's turn.
//!
//! A room whose messages have just come has its first slice before those that had theirs: a small
//! room is done with it, and never waits for the turns of large ones.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backlog::Chunk;
use super::batch::Batch;
use super::encoding::Encoding;
use super::rooms::{Item, Member, Room};
use super::state::Shard;
use crate::names::ConnectionId;
use crate::transport::websocket::deflate::Deflater;

/// Most writes of a slice.
const SLICE_WRITES: usize = 256;
/// Longest slice.
const SLICE_TIME: Duration = Duration::from_millis(1);
/// Writes between two looks at the clock.
const LOOK_EVERY: usize = 32;
/// Batches that are joined into one write at most.
const JOINED_BYTES: usize = 64 * 1024;

/// Batches on their way to the members.
pub(super) struct FanOut {
    pub(super) batches: Vec<Arc<Batch>>,
    /// Members before this one have them.
    pub(super) cursor: usize,
    pub(super) messages: u64,
    pub(super) weight: usize,
    pub(super) received: Instant,
    /// Connections that asked to be left out of some message.
    pub(super) skips: Vec<ConnectionId>,
    /// All frames, by encoding.
    pub(super) frames: Vec<(Encoding, Chunk)>,
}

impl FanOut {
    /// Takes the batches at the front of a queue together.
    fn next(queue: &mut VecDeque<Item>) -> Option<Self> {
        let mut batches: Vec<Arc<Batch>> = Vec::with_capacity(1);
        let mut weight = 0;
        while let Some(Item::Messages(batch)) = queue.front() {
            if !batches.is_empty() && weight + batch.weight() > JOINED_BYTES {
                break;
            }
            weight += batch.weight();
            batches.push(batch.clone());
            queue.pop_front();
        }
        let received = batches.first()?.received();
        let all = || batches.iter().flat_map(|batch| batch.messages());
        let skips = all().filter_map(|message| message.skip).collect();
        let messages = all().count() as u64;
        Some(Self {
            batches,
            cursor: 0,
            messages,
            weight,
            received,
            skips,
            frames: Vec::new(),
        })
    }

    fn frames(
        &mut self,
        encoding: Encoding,
        deflater: &mut Deflater,
        joined: impl FnOnce(Vec<u8>) -> Chunk,
    ) -> &Chunk {
        let known = self.frames.iter().position(|(other, _)| *other == encoding);
        let index = known.unwrap_or_else(|| {
            let chunk = match self.batches.as_slice() {
                batches if encoding.prefix > 0 => {
                    let mut bytes = Vec::with_capacity(self.weight);
                    for batch in batches {
                        batch.append(encoding, deflater, &mut bytes);
                    }
                    joined(bytes)
                }
                [batch] => batch.chunk(encoding, deflater).clone(),
                batches => {
                    let mut bytes = Vec::new();
                    for batch in batches {
                        bytes.extend_from_slice(batch.chunk(encoding, deflater).bytes());
                    }
                    joined(bytes)
                }
            };
            self.frames.push((encoding, chunk));
            self.frames.len() - 1
        });
        &self.frames[index].1
    }

    /// Appends the frames that are left for a connection that asked to be left out of some message; gives how many. The
    /// batches that have something for it count it in their spans.
    fn frames_without(
        &self,
        connection: ConnectionId,
        encoding: Encoding,
        deflater: &mut Deflater,
        out: &mut Vec<u8>,
    ) -> u64 {
        let counts = self.batches.iter().map(|batch| {
            let count = batch.encode_without(connection, encoding, deflater, out);
            if count > 0
                && let Some(span) = batch.span()
            {
                span.delivered(1);
            }
            count
        });
        counts.sum()
    }
}

/// What was done of a slice.
struct Slice {
    started: Instant,
    writes: usize,
}

impl Slice {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            writes: 0,
        }
    }

    fn is_over(&self) -> bool {
        self.writes >= SLICE_WRITES
            || (self.writes % LOOK_EVERY == LOOK_EVERY - 1 && self.started.elapsed() > SLICE_TIME)
    }
}

impl Shard {
    /// First slices, as many as one slice's bounds allow, and then one of the room whose turn it is.
    pub(super) fn fan_out_slice(&mut self) {
        self.flush_out(); // the ack of a subscription comes before its messages
        let turns = self.rooms.active.len();
        let mut slice = Slice::new();
        while !slice.is_over()
            && let Some(key) = self.rooms.fresh.pop_front()
        {
            slice.writes += 1; // a room without members is work as well
            self.fan_out_in(key, &mut slice);
        }
        if turns > 0
            && let Some(key) = self.rooms.active.pop_front()
        {
            self.fan_out_in(key, &mut Slice::new());
        }
    }

    /// Goes on with a room's messages, and puts it in line again if some are left.
    fn fan_out_in(&mut self, key: usize, slice: &mut Slice) {
        if self.write_slice(key, slice) {
            self.finish_fan_out(key);
        }
        let name = self.rooms.rooms[key].name.clone();
        // What follows the batches and is no batch itself is done at once.
        while room_is_between(&self.rooms.rooms[key]) {
            let Some(item) = self.rooms.rooms[key].queue.pop_front() else {
                break;
            };
            self.do_item(&name, item);
            if !self.rooms.rooms.contains(key) {
                return;
            }
        }
        if self.rooms.rooms[key].is_busy() {
            self.rooms.active.push_back(key);
        } else {
            self.rooms.forget_if_idle(key);
        }
    }

    /// Writes to members until the slice or the members end; gives whether all have the messages.
    fn write_slice(&mut self, key: usize, slice: &mut Slice) -> bool {
        let room = &mut self.rooms.rooms[key];
        if room.fan_out.is_none() {
            room.fan_out = FanOut::next(&mut room.queue);
        }
        let Some(fan_out) = &mut room.fan_out else {
            return true;
        };
        let (now, memory) = (self.wheel.now(), &self.memory);
        let (mut whole, mut messages, mut bytes) = (0, 0, 0);
        while fan_out.cursor < room.members.len() && !slice.is_over() {
            let Member { slot, prefix, .. } = room.members[fan_out.cursor];
            fan_out.cursor += 1;
            slice.writes += 1;
            let Some(connection) = self.connections.get_mut(slot as usize) else {
                continue;
            };
            if !connection.receives() {
                continue;
            }
            let encoding = connection.encoding.without(prefix);
            let (written, taken) = if fan_out.skips.is_empty()
                || !fan_out.skips.contains(&connection.session.connection())
            {
                let joined = |bytes| Chunk::new(bytes, memory.clone());
                let written = fan_out.messages;
                let frames = fan_out.frames(encoding, &mut self.deflater, joined);
                whole += 1;
                (written, connection.write(frames, now))
            } else {
                let (id, mut own) = (connection.session.connection(), Vec::new());
                let deflater = &mut self.deflater;
                let written = fan_out.frames_without(id, encoding, deflater, &mut own);
                if written == 0 {
                    continue;
                }
                (written, connection.write_private(&own, memory, now))
            };
            if let Some(trace) = &mut connection.trace {
                trace.delivered(written);
                trace.wrote(taken);
            }
            messages += written;
            bytes += taken;
            if connection.backlog.is_some() || !connection.receives() {
                self.troubled.push(slot);
            }
        }
        for span in fan_out.batches.iter().filter_map(|batch| batch.span()) {
            let latency = fan_out.received.elapsed();
            span.delivered(whole); // others were counted where their frames were made
            self.metrics.delivery.exemplify(latency, span.trace());
        }
        let done = fan_out.cursor >= room.members.len();
        self.metrics.messages_out.add(messages);
        self.metrics.bytes_out.add(bytes as u64);
        self.metrics
            .delivery
            .observe(fan_out.received.elapsed(), messages);
        self.look_at_troubled();
        done
    }

    fn finish_fan_out(&mut self, key: usize) {
        if let Some(fan_out) = self.rooms.rooms[key].fan_out.take() {
            self.taken(fan_out.weight);
        }
    }
}

/// Whether the next item of a room's queue is no batch, and no batch is on its way.
fn room_is_between(room: &Room) -> bool {
    room.fan_out.is_none()
        && room
            .queue
            .front()
            .is_some_and(|item| !matches!(item, Item::Messages(_)))
}

#[cfg(test)]
mod tests {
    use linnet_telemetry::Context;

    use super::super::backlog::QueueMemory;
    use super::super::encoding::Framing;
    use super::*;
    use crate::message::{Message, Payload};
    use crate::names::RoomName;
    use crate::traces::Trace;

    fn message(skip: Option<ConnectionId>) -> Arc<Message> {
        Arc::new(Message {
            room: RoomName::parse("lobby").unwrap(),
            offset: None,
            timestamp: 0,
            from: None,
            event: None,
            data: Payload::Json("1".into()),
            info: None,
            skip,
            trace: Some(Box::new(Trace::of_caller(Context::new_trace(true)))),
        })
    }

    #[test]
    fn a_batch_counts_a_connection_only_where_it_has_something_for_it() {
        let ann = ConnectionId::random();
        let memory = Arc::new(QueueMemory::new(1000, 1));
        let batch = |skips: &[Option<ConnectionId>]| {
            let messages = skips.iter().copied().map(message).collect();
            let room = RoomName::parse("lobby").unwrap();
            let batch = Batch::new(room, messages, Instant::now(), memory.clone());
            Item::Messages(Arc::new(batch.traced()))
        };
        let mut queue = VecDeque::from([
            batch(&[Some(ann)]),
            batch(&[None]),
            batch(&[Some(ann), None, Some(ann)]),
        ]);
        let fan_out = FanOut::next(&mut queue).unwrap();
        assert_eq!(fan_out.batches.len(), 3, "joined in one write");
        let encoding = Encoding {
            protocol: 0,
            framing: Framing::WebSocket,
            prefix: 0,
        };
        let left_for = |connection| {
            fan_out.frames_without(connection, encoding, &mut Deflater::default(), &mut vec![])
        };
        assert_eq!(left_for(ann), 2);
        let counted = || -> Vec<u64> {
            let spans = fan_out.batches.iter().filter_map(|batch| batch.span());
            spans.map(|span| span.deliveries()).collect()
        };
        assert_eq!(counted(), [0, 1, 1]);
        assert_eq!(left_for(ConnectionId::random()), 5);
        assert_eq!(counted(), [1, 2, 2]);
    }
}
