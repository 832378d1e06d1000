//! The `id:` of events: where in each room of a stream its client is. A client sends the last one back, whichever gateway it
//! comes to, and nothing else is kept of it.
//!
//! Version 1, in base64url (RFC 4648 §5) without padding:
//!
//! ```text
//! 1, salt, then for each epoch:
//!   length of its text 1…128 and the text, or 0 and the 16 bytes whose base64url it is
//!   number of rooms, then for each, in ascending order of keys:
//!     key: the first 4 bytes of SHA-256 of salt and the room's name
//!     offset, for all but the first less the one before, zigzag
//! ```
//!
//! Numbers are LEB128. The salt is chosen such that no two rooms of the stream have the same key. Version 2 stands for the
//! end: a code, and nothing to come back to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::names::{Epoch, Offset, RoomName};
use crate::protocol::Since;

/// Longest cursor that is read, in characters: what fits a request's headers, with room for others.
pub(in crate::transport) const MAX: usize = 8 * 1024;

const POSITIONS: u8 = 1;
const END: u8 = 2;

/// Longest text of an epoch, in bytes.
const MAX_EPOCH: usize = 128;

/// Largest offset.
const MAX_OFFSET: u64 = (1 << 53) - 1;

/// A room's place in a cursor.
pub(in crate::transport) type Key = [u8; 4];

/// What a client sent back.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transport) enum Cursor {
    /// Where it is.
    At(Positions),
    /// It was told not to come back, by a close with this code.
    End(u16),
}

/// Where a client is, room by room.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transport) struct Positions {
    salt: u8,
    rooms: Vec<(Key, Since)>,
}

/// A text that no gateway has given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the last event id is none that this server gave")]
pub(in crate::transport) struct BadCursor;

impl Cursor {
    /// Reads what [`write`] or [`end`] wrote.
    pub(in crate::transport) fn read(text: &str) -> Result<Self, BadCursor> {
        if text.len() > MAX {
            return Err(BadCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let mut reader = Reader(&bytes);
        match reader.byte()? {
            POSITIONS => Positions::read(reader).map(Self::At),
            END => match reader.0.try_into() {
                Ok(code) => Ok(Self::End(u16::from_be_bytes(code))),
                Err(_) => Err(BadCursor),
            },
            _ => Err(BadCursor),
        }
    }
}

impl Positions {
    /// Where the client is in that room, if it was there.
    pub(in crate::transport) fn of(&self, room: &RoomName) -> Option<Since> {
        let key = key(self.salt, room);
        let found = self.rooms.iter().find(|(known, _)| *known == key);
        found.map(|(_, since)| since.clone())
    }

    fn read(mut reader: Reader<'_>) -> Result<Self, BadCursor> {
        let salt = reader.byte()?;
        let mut epochs: Vec<Epoch> = Vec::new();
        let mut rooms: Vec<(Key, Since)> = Vec::new();
        while !reader.0.is_empty() {
            let epoch = reader.epoch()?;
            if epochs.contains(&epoch) {
                return Err(BadCursor);
            }
            let count = reader.number()?;
            let (mut last, mut before): (Option<Key>, u64) = (None, 0);
            for _ in 0..count {
                let key = reader.key()?;
                let number = reader.number()?;
                let offset = match last {
                    None => number,
                    Some(last) if last < key => before.wrapping_add_signed(unzigzag(number)),
                    Some(_) => return Err(BadCursor),
                };
                let twice = rooms.iter().any(|(known, _)| *known == key);
                if offset > MAX_OFFSET || twice {
                    return Err(BadCursor);
                }
                (last, before) = (Some(key), offset);
                let (epoch, offset) = (epoch.clone(), Offset(offset));
                rooms.push((key, Since { epoch, offset }));
            }
            if last.is_none() {
                return Err(BadCursor);
            }
            epochs.push(epoch);
        }
        match rooms.is_empty() {
            true => Err(BadCursor),
            false => Ok(Self { salt, rooms }),
        }
    }
}

/// Chooses a salt for a stream, and the key of each of its rooms, in their order.
pub(in crate::transport) fn keys(rooms: &[RoomName]) -> (u8, Vec<Key>) {
    let with = |salt| rooms.iter().map(|room| key(salt, room)).collect::<Vec<_>>();
    let differ = |keys: &Vec<Key>| {
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        sorted.is_sorted_by(|one, next| one < next)
    };
    let salts = (0..=u8::MAX).map(|salt| (salt, with(salt)));
    let mut salts = salts.filter(|(_, keys)| differ(keys));
    // That none fits would take rooms that somebody has searched for; then two of them share a position.
    salts.next().unwrap_or_else(|| (0, with(0)))
}

/// Writes a cursor; `None` where there is no position to write.
pub(in crate::transport) fn write<'a>(
    salt: u8,
    positions: impl Iterator<Item = (Key, &'a Since)>,
) -> Option<String> {
    let mut groups: Vec<(&Epoch, Vec<(Key, u64)>)> = Vec::new();
    for (key, since) in positions {
        let at = (key, since.offset.0);
        match groups.iter_mut().find(|(epoch, _)| **epoch == since.epoch) {
            Some((_, rooms)) => rooms.push(at),
            None => groups.push((&since.epoch, vec![at])),
        }
    }
    if groups.is_empty() {
        return None;
    }
    let mut bytes = vec![POSITIONS, salt];
    for (epoch, rooms) in &mut groups {
        rooms.sort_unstable();
        write_epoch(epoch.as_str(), &mut bytes);
        write_number(rooms.len() as u64, &mut bytes);
        let mut before = None;
        for (key, offset) in rooms {
            bytes.extend_from_slice(key);
            let number = match before {
                None => *offset,
                Some(before) => zigzag(offset.wrapping_sub(before) as i64),
            };
            write_number(number, &mut bytes);
            before = Some(*offset);
        }
    }
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What stands in a cursor's place when a client is told not to come back.
pub(in crate::transport) fn end(code: u16) -> String {
    let [high, low] = code.to_be_bytes();
    URL_SAFE_NO_PAD.encode([END, high, low])
}

fn key(salt: u8, room: &RoomName) -> Key {
    let digest = Sha256::new_with_prefix([salt])
        .chain_update(room.as_str())
        .finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn write_epoch(text: &str, out: &mut Vec<u8>) {
    let decoded = URL_SAFE_NO_PAD.decode(text);
    match decoded.as_deref() {
        Ok(bits) if bits.len() == 16 => {
            out.push(0);
            out.extend_from_slice(bits);
        }
        _ => {
            // The protocol takes none that is longer.
            let text = &text[..text.floor_char_boundary(MAX_EPOCH)];
            out.push(text.len() as u8);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, BadCursor> {
        let (first, rest) = self.0.split_first().ok_or(BadCursor)?;
        self.0 = rest;
        Ok(*first)
    }

    fn bytes(&mut self, count: usize) -> Result<&[u8], BadCursor> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(BadCursor)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn key(&mut self) -> Result<Key, BadCursor> {
        self.bytes(4)?.try_into().map_err(|_| BadCursor)
    }

    fn epoch(&mut self) -> Result<Epoch, BadCursor> {
        let length = usize::from(self.byte()?);
        if length == 0 {
            let text = URL_SAFE_NO_PAD.encode(self.bytes(16)?);
            return Ok(Epoch::from_client(&text));
        }
        if length > MAX_EPOCH {
            return Err(BadCursor);
        }
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| BadCursor)?;
        Ok(Epoch::from_client(text))
    }

    /// A number in its shortest form.
    fn number(&mut self) -> Result<u64, BadCursor> {
        let (mut number, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if shift > 63 || bits << shift >> shift != bits || byte == 0 && shift > 0 {
                return Err(BadCursor);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    fn since(epoch: &str, offset: u64) -> Since {
        Since {
            epoch: Epoch::from_client(epoch),
            offset: Offset(offset),
        }
    }

    fn cursor(rooms: &[(RoomName, Since)]) -> Option<String> {
        let names: Vec<_> = rooms.iter().map(|(room, _)| room.clone()).collect();
        let (salt, keys) = keys(&names);
        write(
            salt,
            keys.into_iter().zip(rooms.iter().map(|(_, since)| since)),
        )
    }

    fn positions(text: &str) -> Positions {
        match Cursor::read(text) {
            Ok(Cursor::At(positions)) => positions,
            other => panic!("{other:?}"),
        }
    }

    const EPOCH: &str = "Zk3vT0q9S2mB1xYc7LwJdA";

    #[test]
    fn a_cursor_of_one_room_is_short_and_one_of_a_hundred_fits_a_header() {
        let one = cursor(&[(room("lobby"), since(EPOCH, 1_000_000))]).unwrap();
        assert!(one.len() <= 40, "{} characters", one.len());
        let hundred: Vec<_> = (0..100_u64)
            .map(|n| (room(&format!("room.{n}")), since(EPOCH, 1_000_000 + 37 * n)))
            .collect();
        let text = cursor(&hundred).unwrap();
        assert!(text.len() <= 900, "{} characters", text.len());
        let read = positions(&text);
        for (room, at) in &hundred {
            assert_eq!(read.of(room).as_ref(), Some(at));
        }
        assert_eq!(read.of(&room("room.100")), None);
    }

    #[test]
    fn the_end_is_a_cursor_too() {
        assert_eq!(Cursor::read(&end(4004)), Ok(Cursor::End(4004)));
    }

    #[test]
    fn where_no_room_has_a_position_there_is_no_cursor() {
        assert_eq!(cursor(&[]), None);
    }

    #[test]
    fn what_no_gateway_gave_is_refused() {
        let good = cursor(&[(room("a"), since(EPOCH, 7)), (room("b"), since("other", 9))]);
        let good = good.unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
        assert!(Cursor::read(&good).is_ok());
        for text in [
            "",
            "!",
            "AQ",
            "AQA",
            "Aw",
            "Ag",
            "AgAAAA",
            &format!("{good}="),
        ] {
            assert_eq!(Cursor::read(text), Err(BadCursor), "{text:?}");
        }
        for end in 0..bytes.len() {
            let text = URL_SAFE_NO_PAD.encode(&bytes[..end]);
            // One that ends behind a whole epoch is that of fewer rooms.
            if let Ok(Cursor::At(read)) = Cursor::read(&text) {
                assert_eq!(read.rooms.len(), 1);
            }
        }
        let longer = URL_SAFE_NO_PAD.encode([&bytes[..], &[0]].concat());
        assert_eq!(Cursor::read(&longer), Err(BadCursor));
        assert_eq!(Cursor::read(&"A".repeat(MAX + 1)), Err(BadCursor));
        // A room twice, an offset that is none, a number that is longer than it need be, an epoch without rooms.
        for bytes in [
            &[1, 0, 1, b'e', 2, 1, 1, 1, 1, 5, 1, 1, 1, 1, 5][..],
            &[
                1, 0, 1, b'e', 1, 1, 1, 1, 1, 255, 255, 255, 255, 255, 255, 255, 255, 127,
            ],
            &[1, 0, 1, b'e', 1, 1, 1, 1, 1, 0x85, 0],
            &[1, 0, 1, b'e', 0],
        ] {
            let text = URL_SAFE_NO_PAD.encode(bytes);
            assert_eq!(Cursor::read(&text), Err(BadCursor), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            rooms in proptest::collection::btree_map("[a-z]{1,8}", ("[a-z]{1,3}|[A-Za-z0-9_-]{21}[AQgw]", 0..=MAX_OFFSET), 1..40),
        ) {
            let rooms: Vec<_> = rooms
                .iter()
                .map(|(name, (epoch, offset))| (room(name), since(epoch, *offset)))
                .collect();
            let text = cursor(&rooms).unwrap();
            let read = positions(&text);
            prop_assert_eq!(read.rooms.len(), rooms.len());
            for (room, at) in &rooms {
                prop_assert_eq!(read.of(room), Some(at.clone()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Cursor::read(&URL_SAFE_NO_PAD.encode(&bytes));
            let _ = Cursor::read(&URL_SAFE_NO_PAD.encode([&[1, 0], &bytes[..]].concat()));
        }
    }
}
