//! What of a trace travels with a message: 24 bytes of ids, and whether the trace is recorded.

use std::fmt;

/// A place in a trace: W3C Trace Context, level 1, version 00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context {
    /// Names the trace; never all zeros.
    pub trace: [u8; 16],
    /// Names the span; never all zeros.
    pub span: [u8; 8],
    /// Whether the trace is recorded.
    pub sampled: bool,
}

/// A `traceparent` has this many bytes in version 00.
const LENGTH: usize = 55;

impl Context {
    /// The first span of a new trace.
    #[must_use]
    pub fn new_trace(sampled: bool) -> Self {
        // A zero id is no id (W3C Trace Context §3.2.2.3): once in 2^64 tries, so the last bit is set.
        let mut trace = rand::random::<[u8; 16]>();
        trace[15] |= 1;
        Self {
            trace,
            span: new_span(),
            sampled,
        }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            span: new_span(),
            ..*self
        }
    }

    /// Reads a `traceparent`. `None` where it is not valid: then there is no context at all (§3.2.2.1 and §4.3).
    ///
    /// A later version is read as far as this one goes, as §3.2.4 asks for.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let version: [u8; 1] = hex(bytes.get(..2)?)?;
        let known = match version[0] {
            0xff => false,
            0 => bytes.len() == LENGTH,
            _ => bytes.len() == LENGTH || bytes.get(LENGTH) == Some(&b'-'),
        };
        if !known || [2, 35, 52].iter().any(|at| bytes.get(*at) != Some(&b'-')) {
            return None;
        }
        let trace: [u8; 16] = hex(bytes.get(3..35)?)?;
        let span: [u8; 8] = hex(bytes.get(36..52)?)?;
        let flags: [u8; 1] = hex(bytes.get(53..55)?)?;
        (trace != [0; 16] && span != [0; 8]).then_some(Self {
            trace,
            span,
            sampled: flags[0] & 1 == 1,
        })
    }

    /// The trace's id, as logs and exemplars carry it: 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.trace
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Whether a sampler of `rate` in a million records this trace: the same for all who ask, because the id decides.
    #[must_use]
    pub fn is_within(&self, rate: u32) -> bool {
        // The last seven bytes are random by W3C Trace Context level 2, §3.2.2.3; of those, as the SDKs do, the upper bits.
        let [.., a, b, c, d, e, f, g] = self.trace;
        let random = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        u128::from(random) * 1_000_000 < (u128::from(rate) << 56)
    }
}

/// The value of a `traceparent`.
impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(if self.sampled { "-01" } else { "-00" })
    }
}

/// Whether `rate` in a million decides for a new trace.
#[must_use]
pub fn chance(rate: u32) -> bool {
    match rate {
        0 => false,
        1_000_000.. => true,
        rate => rand::random_range(0..1_000_000) < rate,
    }
}

fn new_span() -> [u8; 8] {
    let mut span = rand::random::<[u8; 8]>();
    span[7] |= 1;
    span
}

/// Reads lower-case hexadecimal digits only: upper-case ones are invalid (§3.2.2.3).
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_and_written() {
        let context = Context::parse(GOOD).unwrap();
        assert!(context.sampled);
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.to_string(), GOOD);
        assert!(!Context::parse(&GOOD.replace("-01", "-00")).unwrap().sampled);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = GOOD.replacen("00", "cc", 1);
        assert!(Context::parse(&later).is_some());
        assert!(Context::parse(&format!("{later}-what-else")).is_some());
        assert!(Context::parse(&format!("{later}x")).is_none());
    }

    #[test]
    fn what_is_not_valid_is_no_context() {
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-x"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.to_uppercase(),
            &GOOD.replace('-', "_"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01",
        ] {
            assert_eq!(Context::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_child_shares_the_trace_and_has_an_id_of_its_own() {
        let parent = Context::new_trace(true);
        let child = parent.child();
        assert_eq!((child.trace, child.sampled), (parent.trace, true));
        assert_ne!(child.span, parent.span);
    }

    #[test]
    fn a_rate_of_none_and_of_all_are_certain() {
        assert!(!chance(0) && chance(1_000_000));
        let context = Context::new_trace(true);
        assert!(!context.is_within(0) && context.is_within(1_000_000));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,80}") {
            if let Some(context) = Context::parse(&text) {
                prop_assert_eq!(Context::parse(&context.to_string()), Some(context));
            }
        }
    }
}
