//! What a benchmark writes into a message so that its receivers can tell loss, order and delay:
//! `#<sequence>@<send time>#`, each number in 16 hexadecimal digits.

/// Bytes of a marker.
pub const LEN: usize = 35;

/// Sequence number and send time of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// Counts a room's messages up by one.
    pub sequence: u64,
    /// Nanoseconds of the monotonic clock.
    pub sent_ns: u64,
}

impl Marker {
    /// Writes the marker to the start of `out`, which has at least [`LEN`] bytes.
    pub fn write(self, out: &mut [u8]) {
        let Some(out) = out.first_chunk_mut::<LEN>() else {
            return;
        };
        out[0] = b'#';
        hex(self.sequence, &mut out[1..17]);
        out[17] = b'@';
        hex(self.sent_ns, &mut out[18..34]);
        out[34] = b'#';
    }

    /// The first marker in a payload.
    pub fn find(payload: &[u8]) -> Option<Self> {
        let at = payload.iter().position(|&byte| byte == b'#')?;
        let marker = payload[at..].first_chunk::<LEN>()?;
        Some(Self {
            sequence: unhex(&marker[1..17])?,
            sent_ns: unhex(&marker[18..34])?,
        })
    }
}

/// The `data` of a message: a JSON string of `length` bytes in all, quotes included, filled up with `x`.
pub fn json_string(length: usize, marker: Marker) -> Vec<u8> {
    let mut data = vec![b'x'; length.max(LEN + 2)];
    let last = data.len() - 1;
    (data[0], data[last]) = (b'"', b'"');
    marker.write(&mut data[1..last]);
    data
}

fn hex(number: u64, out: &mut [u8]) {
    for (i, byte) in out.iter_mut().rev().enumerate() {
        *byte = b"0123456789abcdef"[(number >> (4 * i) & 15) as usize];
    }
}

fn unhex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, &digit| {
        Some(number << 4 | u64::from(char::from(digit).to_digit(16)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_in_the_data_of_exactly_the_asked_length() {
        let marker = Marker {
            sequence: 0x1234,
            sent_ns: u64::MAX - 5,
        };
        let data = json_string(128, marker);
        assert_eq!(data.len(), 128);
        assert!(serde_json::from_slice::<String>(&data).is_ok());
        let frame = [br#"{"type":"message","data":"#.as_slice(), &data, b"}"].concat();
        assert_eq!(Marker::find(&frame), Some(marker));
    }

    #[test]
    fn a_payload_without_a_whole_marker_has_none() {
        assert_eq!(Marker::find(b"plain text"), None);
        assert_eq!(Marker::find(b"#0000"), None);
        assert_eq!(Marker::find(&[b'#'; LEN]), None);
    }
}
