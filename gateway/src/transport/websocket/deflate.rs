//! Compressing and inflating messages (RFC 7692 §7.2), always without context takeover.
//!
//! As no message depends on an earlier one, the state is not a connection's: one [`Deflater`] and one
//! [`Inflater`] serve a whole shard, and a message compressed once serves every connection with its window.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// What every compressed message ends with before it is taken off, and after it is put back: the
/// lengths of an empty stored block (RFC 7692 §7.2.1).
const TRAILER: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// The trailer and an empty final block. Where inflating does not end exactly with it, the message was
/// cut short: the bytes of the trailer served as something else.
const TRAILER_AND_END: [u8; 9] = [0x00, 0x00, 0xFF, 0xFF, 0x01, 0x00, 0x00, 0xFF, 0xFF];

/// How much output an [`Inflater`] keeps room for between messages, in bytes.
const KEPT: usize = 64 * 1024;

/// The smallest and the largest window a message can be compressed with, as powers of two. A raw
/// stream with 8 is not to be had from zlib.
pub const WINDOW_BITS: std::ops::RangeInclusive<u8> = 9..=15;

/// Compresses messages. Takes about 300 KiB for each size of window that was ever asked for.
pub struct Deflater {
    level: Compression,
    states: [Option<Compress>; 7],
}

impl Deflater {
    /// A compressor of this zlib level, 1 (fast) to 9; other values are taken as the nearest.
    pub fn new(level: u32) -> Self {
        Self {
            level: Compression::new(level.clamp(1, 9)),
            states: Default::default(),
        }
    }

    /// Appends the payload of a frame with RSV1 that carries `payload` (RFC 7692 §7.2.1).
    ///
    /// `window_bits` is the connection's [`server_window_bits`](super::negotiate::Negotiated); a value
    /// outside [`WINDOW_BITS`] is taken as the nearest. The result may be longer than `payload` where
    /// that does not compress: send it uncompressed then.
    pub fn compress(&mut self, window_bits: u8, payload: &[u8], out: &mut Vec<u8>) {
        let bits = window_bits.clamp(*WINDOW_BITS.start(), *WINDOW_BITS.end());
        let state = self.states[usize::from(bits - WINDOW_BITS.start())]
            .get_or_insert_with(|| Compress::new_with_window_bits(self.level, false, bits));
        state.reset();
        let mut rest = payload;
        out.reserve(payload.len() / 2 + 64);
        loop {
            let before = state.total_in();
            // Only a stream that was misused (ended, or without a state) gives an error.
            state
                .compress_vec(rest, out, FlushCompress::Sync)
                .expect("a stream just reset takes any input");
            rest = &rest[(state.total_in() - before) as usize..];
            // Room left over means that there was nothing more to write.
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
            out.reserve(rest.len() / 2 + 64);
        }
        debug_assert!(out.ends_with(&TRAILER));
        out.truncate(out.len() - TRAILER.len());
    }
}

impl Default for Deflater {
    /// Level 3: on chat messages as small as level 6's, for two thirds of its time; level 1 hardly
    /// shortens messages of a hundred bytes at all.
    fn default() -> Self {
        Self::new(3)
    }
}

/// A compressed message that can't be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It inflates to more than the limit: close with 1009.
    #[error("the message inflates to more than the limit")]
    TooLarge,
    /// It is not DEFLATE data: close with 1007, as RFC 7692 leaves the code open and others do.
    #[error("the message is not valid DEFLATE data")]
    Corrupt,
}

/// Inflates messages. Takes about 50 KiB, and the largest message's size for as long as it is borrowed.
pub struct Inflater {
    state: Decompress,
    out: Vec<u8>,
}

impl Inflater {
    /// An inflater for any window, of 32 KiB therefore.
    pub fn new() -> Self {
        Self {
            state: Decompress::new(false),
            out: Vec::new(),
        }
    }

    /// The message in the payloads of its frames, which are given as one (RFC 7692 §7.2.2).
    ///
    /// `limit` bounds the message, in bytes; nothing much beyond it is ever inflated. Data after a
    /// final block is a stream of its own (RFC 7692 §7.2.3.4), and an empty payload an empty message.
    pub fn inflate(&mut self, payload: &[u8], limit: usize) -> Result<&[u8], InflateError> {
        self.out.clear();
        self.out.shrink_to(KEPT);
        self.state.reset(false);
        if payload.is_empty() || self.run(payload, limit)? == Ended::WithInput {
            return Ok(&self.out);
        }
        match self.run(&TRAILER_AND_END, limit)? {
            Ended::WithInput => Ok(&self.out),
            Ended::Not => Err(InflateError::Corrupt),
        }
    }

    /// Inflates one input, restarting after final blocks.
    fn run(&mut self, mut input: &[u8], limit: usize) -> Result<Ended, InflateError> {
        loop {
            if self.out.len() == self.out.capacity() {
                // One byte over the limit is enough to know; doubling keeps copying linear.
                let room = (limit - self.out.len()).saturating_add(1);
                self.out.reserve_exact(
                    (4 * input.len())
                        .max(self.out.len())
                        .clamp(256, KEPT.max(self.out.len()))
                        .min(room),
                );
            }
            let before = self.state.total_in();
            let status = self
                .state
                .decompress_vec(input, &mut self.out, FlushDecompress::None)
                .map_err(|_| InflateError::Corrupt)?;
            input = &input[(self.state.total_in() - before) as usize..];
            if self.out.len() > limit {
                return Err(InflateError::TooLarge);
            }
            match status {
                Status::StreamEnd if input.is_empty() => return Ok(Ended::WithInput),
                Status::StreamEnd => self.state.reset(false),
                // Room left over means that all input was taken and nothing is pending.
                Status::Ok | Status::BufError if self.out.len() < self.out.capacity() => {
                    return Ok(Ended::Not);
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a final block ended exactly where the input did.
#[derive(PartialEq, Eq)]
enum Ended {
    WithInput,
    Not,
}

#[cfg(test)]
mod tests;
