//! A message of which only a part has come.

/// Text that is not UTF-8: close with 1007 (RFC 6455 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidText;

/// The payload so far. It grows as data comes, to at most twice what came.
pub(super) struct Message {
    /// Text, or else binary.
    pub(super) text: bool,
    /// Whether the payload is to be inflated.
    pub(super) compressed: bool,
    data: Vec<u8>,
    /// How much of `data` is known to be whole characters; only kept for uncompressed text.
    checked: usize,
}

impl Message {
    pub(super) fn new(text: bool, compressed: bool) -> Self {
        Self {
            text,
            compressed,
            data: Vec::new(),
            checked: 0,
        }
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The memory held, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.data.capacity()
    }

    /// Adds a piece; `left` is what the message still misses after it, where that is known.
    ///
    /// Invalid text fails now, not only when its message is complete.
    pub(super) fn append(&mut self, piece: &[u8], left: Option<usize>) -> Result<(), InvalidText> {
        let len = self.data.len() + piece.len();
        if len > self.data.capacity() {
            // Doubling keeps copying linear; past the message's known end it would be waste.
            let doubled = (2 * self.data.capacity()).max(64);
            let target = left.map_or(doubled, |left| doubled.min(len.saturating_add(left)));
            self.data.reserve_exact(target.max(len) - self.data.len());
        }
        self.data.extend_from_slice(piece);
        if self.text && !self.compressed {
            // Up to three bytes, of a character whose rest is to come, are looked at again.
            match std::str::from_utf8(&self.data[self.checked..]) {
                Ok(_) => self.checked = self.data.len(),
                Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
                Err(_) => return Err(InvalidText),
            }
        }
        Ok(())
    }
}
