//! What waits to go out. Messages stay in the buffers that they came in.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::names::{Epoch, Offset};
use crate::protocol::Since;
use crate::transport::shard::wire::Payload;

/// Something of a room.
pub(super) enum Item {
    /// A message as it was published.
    Live {
        at: u64,
        offset: Option<Offset>,
        payload: Payload,
    },
    /// One that was missed: a part of an answer.
    Paged {
        at: u64,
        since: Since,
        payload: Payload,
        range: Range<usize>,
    },
    /// Everything up to there has gone out.
    Position(Since),
    /// Something was missed for good; from there it goes on.
    Gap(String, Option<Since>),
    /// It is over.
    Unsubscribed(String),
    /// Something else, by its name.
    Other(&'static str, Payload),
}

/// What goes out.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Out {
    /// The event's name; a message has none.
    pub(in super::super) name: Option<&'static str>,
    /// JSON; without it only the position is another.
    pub(in super::super) data: Option<Vec<u8>>,
    /// Whether the position is another after it.
    pub(in super::super) moves: bool,
}

impl Out {
    pub(super) fn message(data: Vec<u8>, moves: bool) -> Self {
        Self {
            name: None,
            data: Some(data),
            moves,
        }
    }

    pub(super) fn event(name: &'static str, data: Vec<u8>, moves: bool) -> Self {
        Self {
            name: Some(name),
            data: Some(data),
            moves,
        }
    }

    pub(super) fn position() -> Self {
        Self {
            name: None,
            data: None,
            moves: true,
        }
    }
}

impl Item {
    /// A message of an answer's page.
    pub(super) fn of_page(message: &RawValue, payload: &Payload, epoch: &Epoch) -> Option<Self> {
        #[derive(Deserialize)]
        struct Place {
            offset: u64,
            timestamp: u64,
        }
        let text = message.get();
        let place: Place = serde_json::from_str(text).ok()?;
        // It was read from there.
        let start = (text.as_ptr() as usize).checked_sub(payload.as_ptr() as usize)?;
        Some(Self::Paged {
            at: place.timestamp,
            since: Since {
                epoch: epoch.clone(),
                offset: Offset(place.offset),
            },
            payload: payload.clone(),
            range: start..start + text.len(),
        })
    }

    /// When it was published; what was not goes at once.
    pub(super) fn at(&self) -> u64 {
        match self {
            Self::Live { at, .. } | Self::Paged { at, .. } => *at,
            _ => 0,
        }
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Live { payload, .. } | Self::Other(_, payload) => payload.len(),
            Self::Paged { range, .. } => range.len(),
            _ => 0,
        }
    }
}
