//! Settling permessage-deflate in the opening handshake (RFC 6455 §9.1, RFC 7692 §7.1).

use super::deflate::WINDOW_BITS;

/// An offer that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The window that messages to this client may be compressed with, as a power of two: 9 to 15.
    pub server_window_bits: u8,
    /// The value of the answer's `Sec-WebSocket-Extensions`.
    pub response: String,
}

/// Accepts the first offer of permessage-deflate that can be met, of a request's
/// `Sec-WebSocket-Extensions` headers.
///
/// Neither side may take its context over to the next message: the server says so for the client too
/// (RFC 7692 §7.1.1.2). `None`: go on without compression. That is the answer to a faulty offer
/// (RFC 7692 §7.1), to one of a 256-byte window, which zlib does not compress with, and to a header
/// that can't be read, from the fault on.
pub fn negotiate<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Negotiated> {
    headers.into_iter().find_map(|header| {
        let mut scanner = Scanner { rest: header };
        loop {
            scanner.skip_empty();
            let name = scanner.name()?;
            match scanner.offer(name)? {
                Some(bits) => break Some(answer(bits)),
                None => scanner.next_offer()?,
            }
        }
    })
}

fn answer(window_bits: Option<u8>) -> Negotiated {
    let mut response =
        String::from("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    if let Some(bits) = window_bits {
        response.push_str(&format!("; server_max_window_bits={bits}"));
    }
    Negotiated {
        server_window_bits: window_bits.unwrap_or(*WINDOW_BITS.end()),
        response,
    }
}

/// Takes a header value apart; each method gives `None` where the grammar is broken.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// The parameters of one offer: `Some(window)` if it is acceptable, the window if it asks for one.
    fn offer(&mut self, name: &str) -> Option<Option<Option<u8>>> {
        let mut acceptable = name.eq_ignore_ascii_case("permessage-deflate");
        let mut window = None;
        let mut seen: Vec<String> = Vec::new();
        while self.take(';') {
            let param = self.name()?.to_ascii_lowercase();
            let value = match self.take('=') {
                true => Some(self.value()?),
                false => None,
            };
            acceptable &= !seen.contains(&param);
            acceptable &= match (param.as_str(), value) {
                ("server_no_context_takeover" | "client_no_context_takeover", None) => true,
                ("client_max_window_bits", None) => true,
                ("client_max_window_bits", Some(value)) => window_bits(&value).is_some(),
                ("server_max_window_bits", Some(value)) => {
                    window = window_bits(&value).filter(|bits| WINDOW_BITS.contains(bits));
                    window.is_some()
                }
                _ => false,
            };
            seen.push(param);
        }
        Some(acceptable.then_some(window))
    }

    fn next_offer(&mut self) -> Option<()> {
        self.take(',').then_some(())
    }

    /// Empty elements of a list mean nothing (RFC 9110 §5.6.1).
    fn skip_empty(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
    }

    /// A token (RFC 9110 §5.6.2).
    fn name(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let end = self
            .rest
            .find(|c: char| !is_token_char(c))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    /// A token or a quoted string (RFC 9110 §5.6.4).
    fn value(&mut self) -> Option<String> {
        if !self.take('"') {
            return self.name().map(str::to_owned);
        }
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(chars.next()?.1),
                _ => value.push(c),
            }
        }
        None
    }

    fn take(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// 8 to 15 without leading zeros (RFC 7692 §7.1.2.1).
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15" => value.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
