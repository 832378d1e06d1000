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

/// Which origins may connect: what `spec.authentication.allowedOrigins` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// `*` is listed: pages of any origin may connect, `null` included.
    any: bool,
    /// Something is listed, so that the request's own host does not count.
    list: bool,
    listed: Vec<Listed>,
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Listed {
    /// This origin and no other.
    Exactly(Origin),
    /// The subdomains of a host, however deep; not the host itself.
    Subdomains {
        scheme: String,
        /// The host with a dot before it, in lower case.
        suffix: String,
        port: Option<u16>,
    },
}

impl Origins {
    /// Reads a list: `*`, `null`, `scheme://host[:port]`, or `scheme://*.host[:port]`. What is none of these allows
    /// nothing; a manifest that holds it was refused before.
    pub fn compile<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut origins = Self::default();
        for text in texts {
            origins.list = true; // also where it is not understood: that must not open the door to the own host
            match text {
                "*" => origins.any = true,
                _ => origins.listed.extend(Listed::parse(text)),
            }
        }
        origins
    }

    /// Whether pages of `origin` may connect to `host`, the request's header of that name.
    pub fn allow(&self, origin: &Origin, host: Option<&str>) -> bool {
        self.any
            || match self.list {
                true => self.listed.iter().any(|listed| listed.covers(origin)),
                false => host.is_some_and(|host| origin.is_host(host)),
            }
    }

    /// Whether any page may connect.
    pub fn any(&self) -> bool {
        self.any
    }

    /// Whether there is a list, so that the request's own host does not count.
    pub fn is_list(&self) -> bool {
        self.list
    }
}

impl Listed {
    fn parse(text: &str) -> Option<Self> {
        let Some((scheme, host)) = text.split_once("://*.") else {
            return Origin::parse(text).map(Self::Exactly);
        };
        match Origin::parse(&format!("{scheme}://{host}"))? {
            Origin::Tuple { scheme, host, port } => Some(Self::Subdomains {
                scheme,
                suffix: format!(".{host}"),
                port,
            }),
            _ => None,
        }
    }

    fn covers(&self, origin: &Origin) -> bool {
        match (self, origin) {
            (Self::Exactly(listed), origin) => listed == origin,
            (
                Self::Subdomains {
                    scheme,
                    suffix,
                    port,
                },
                Origin::Tuple {
                    scheme: of,
                    host,
                    port: at,
                },
            ) => {
                let below = host.strip_suffix(suffix.as_str());
                scheme == of && port == at && below.is_some_and(|label| !label.is_empty())
            }
            _ => false,
        }
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
