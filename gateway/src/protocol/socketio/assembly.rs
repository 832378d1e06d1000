//! A packet with attachments on its way: its text came, and so did some of its bytes.

/// What is kept of it. Bounded by what the caller allows in all, counted as it comes.
#[derive(Debug)]
pub struct Assembly {
    text: Box<str>,
    attachments: Vec<Box<[u8]>>,
    missing: usize,
    size: usize,
}

/// The packet is larger than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl Assembly {
    /// A packet whose text has come, and that as many frames belong to; more than none.
    pub fn new(text: &str, attachments: usize) -> Self {
        Self {
            text: text.into(),
            attachments: Vec::new(),
            missing: attachments,
            size: text.len(),
        }
    }

    /// Adds the next frame. Whether it was the last.
    pub fn add(&mut self, bytes: &[u8], most: usize) -> Result<bool, TooLarge> {
        self.size = self.size.saturating_add(bytes.len());
        if self.size > most {
            return Err(TooLarge);
        }
        self.attachments.push(bytes.into());
        self.missing = self.missing.saturating_sub(1);
        Ok(self.missing == 0)
    }

    /// The text and the bytes, in order.
    pub fn finish(self) -> (Box<str>, Vec<Box<[u8]>>) {
        (self.text, self.attachments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_whole_with_its_last_frame() {
        let mut assembly = Assembly::new("abc", 2);
        assert_eq!(assembly.add(b"1", 10), Ok(false));
        assert_eq!(assembly.add(b"", 10), Ok(true));
        let (text, attachments) = assembly.finish();
        assert_eq!((&*text, attachments.len()), ("abc", 2));
        assert_eq!(*attachments[0], *b"1");
    }

    #[test]
    fn text_and_frames_together_are_bounded() {
        let mut assembly = Assembly::new("abc", 3);
        assert_eq!(assembly.add(b"123", 6), Ok(false));
        assert_eq!(assembly.add(b"4", 6), Err(TooLarge));
    }
}
