//! The frames of `linnet.v1.json`, as far as a stream acts on them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// One frame. What people have published stays as it is.
#[derive(Debug, Deserialize)]
pub(in super::super) struct Told<'a> {
    #[serde(rename = "type", borrow)]
    pub(in super::super) kind: Cow<'a, str>,
    pub(in super::super) id: Option<u64>,
    #[serde(borrow)]
    pub(super) room: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) epoch: Option<Cow<'a, str>>,
    pub(super) offset: Option<u64>,
    pub(super) timestamp: Option<u64>,
    pub(super) recovered: Option<bool>,
    pub(super) more: Option<bool>,
    #[serde(borrow)]
    pub(super) messages: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(in super::super) code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(in super::super) message: Option<Cow<'a, str>>,
    pub(in super::super) retry_after_ms: Option<u64>,
}

impl<'a> Told<'a> {
    /// Reads a frame that this gateway has written.
    pub(in super::super) fn read(frame: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(frame).ok()
    }
}
