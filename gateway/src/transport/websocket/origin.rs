//! Which pages may open a connection (RFC 6455 §4.2.2 and §10.2, RFC 6454 §7).

/// An origin: what a browser says of the page that opens a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `null`: a sandboxed frame, a local file or the like. Never a match by its host.
    Opaque,
    /// Scheme, host and port.
    Tuple {
        /// In lower case.
        scheme: String,
        /// In lower case; an IPv6 address with its brackets.
        host: String,
        /// The scheme's default where none was written; `None` if it has no default either.
        port: Option<u16>,
    },
}

impl Origin {
    /// Reads `null` or `scheme://host[:port]`, in any case; `None` for anything else, a path included.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Opaque);
        }
        let (scheme, authority) = text.split_once("://")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if scheme.is_empty() || !scheme.chars().all(plain) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = split_host(authority)?;
        let port = port.or_else(|| default_port(&scheme));
        Some(Self::Tuple { scheme, host, port })
    }

    /// Whether a request that came to `host` (the header of that name) comes from a page of that host.
    ///
    /// The port of `host` is the default of the origin's scheme where none is written: behind a proxy
    /// that ends TLS the gateway can't know the scheme its client used.
    pub fn is_host(&self, host: &str) -> bool {
        let Self::Tuple {
            scheme,
            host: own,
            port,
        } = self
        else {
            return false;
        };
        let Some(default) = default_port(scheme) else {
            return false;
        };
        split_host(host).is_some_and(|(host, explicit)| {
            host == *own && Some(explicit.unwrap_or(default)) == *port
        })
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// The host in lower case, and the port if one is written.
fn split_host(authority: &str) -> Option<(String, Option<u16>)> {
    // In an IPv6 address colons stand for themselves, up to the bracket.
    let end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    let port = match rest.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        None if rest.is_empty() => None,
        _ => return None,
    };
    let allowed = |c: char| c.is_ascii_graphic() && !"/?#@\\,".contains(c);
    (!host.is_empty() && host.chars().all(allowed)).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests;
