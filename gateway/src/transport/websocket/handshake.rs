//! The opening handshake, the server's side (RFC 6455 §4.2): judging a request and what to answer.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{self, AsHeaderName, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use sha1::{Digest, Sha1};

use super::negotiate::{Negotiated, negotiate};
use super::origin::{Origin, Origins};
use super::query::Query;

/// What a key is completed with before it is hashed (RFC 6455 §1.3).
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// How a client that can't set headers, a browser, offers its token: as a subprotocol with this prefix.
const TOKEN_PREFIX: &str = "bearer.";

/// Keys and their digests: padded, and lenient about the unused bits of the last character.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The headers of a handshake that wants nothing special, as far as every client sends them (RFC 6455 §1.2).
pub const PLAINEST: [(&str, &str); 5] = [
    ("host", "server.example.com"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
];

/// A protocol spoken over WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subprotocol {
    /// Its name in `Sec-WebSocket-Protocol`.
    pub name: &'static str,
    /// Its name in the query: `?protocol=`.
    pub short: &'static str,
    /// Whether it makes no sense without a room: that of `?room=`.
    pub in_a_room: bool,
    /// The room of a client that names none.
    pub default_room: Option<&'static str>,
}

/// What a handshake is judged by.
#[derive(Clone, Copy)]
pub struct Config<'a> {
    /// The protocols there are; the first is spoken where a client asks for none. Not empty.
    pub protocols: &'a [Subprotocol],
    /// Which origins may connect.
    pub allowed_origins: &'a Origins,
    /// Whether `?token=` is accepted.
    pub query_token: bool,
    /// Whether permessage-deflate is negotiated with clients that offer it.
    pub compression: bool,
}

/// A request that may become a WebSocket: answer 101 with `Upgrade`, `Connection` and what is here.
#[derive(Clone)]
pub struct Accepted {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept_key: String,
    /// The value of `Sec-WebSocket-Protocol`; without one the header must be left out.
    pub subprotocol: Option<&'static str>,
    /// What is spoken, as an index into [`Config::protocols`].
    pub protocol: usize,
    /// `?room=`: 1 to 256 bytes without control characters.
    pub room: Option<String>,
    /// `?echo=`: whether the client gets its own messages.
    pub echo: bool,
    /// `?name=`: what the client calls itself.
    pub name: Option<String>,
    /// The token, from wherever it was; not verified. A secret, so this type has no `Debug`.
    pub token: Option<String>,
    /// Whether messages are compressed; its `response` is the value of `Sec-WebSocket-Extensions`.
    pub deflate: Option<Negotiated>,
}

/// A request that is answered with an HTTP status and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// 400, 403, 405 or 426.
    pub status: StatusCode,
    /// Headers that the status requires.
    pub headers: Vec<(&'static str, String)>,
    /// What was wrong and what would be accepted, for the client; never a secret.
    pub body: String,
    /// A metric's label: `method`, `upgrade`, `version`, `key`, `origin`, `subprotocol`, `token` or `query`.
    pub reason: &'static str,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, reason: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            reason,
        }
    }

    pub(crate) fn bad_request(reason: &'static str, body: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, body)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// Judges a request for a WebSocket (RFC 6455 §4.2.1, §4.2.2).
///
/// `query` is the part of the address after `?`. The request's path, and whether there is room for
/// another connection, are the caller's to check.
pub fn accept(
    method: &Method,
    query: Option<&str>,
    headers: &HeaderMap,
    config: &Config<'_>,
) -> Result<Accepted, Refused> {
    check_upgrade(method, headers)?;
    let accept_key = accept_key(headers)?;
    let page = check_origin(headers, config.allowed_origins)?;
    let query = Query::parse(query.unwrap_or_default())
        .map_err(|error| Refused::bad_request("query", error.to_string()))?;
    let offers = Offers::of(headers, config.protocols)?;
    let protocol = choose_protocol(&offers, &query, config.protocols)?;
    let spoken = &config.protocols[protocol];
    let room = (query.room).or_else(|| spoken.default_room.map(str::to_owned));
    if spoken.in_a_room && room.is_none() {
        let name = config.protocols[protocol].name;
        return Err(Refused::bad_request(
            "query",
            format!("{name} needs the query parameter room: ?room=NAME"),
        ));
    }
    if query.token.is_some() && !config.query_token {
        let body = "a token in the query is not accepted here: send it as the header Authorization: Bearer TOKEN, \
                    as the subprotocol bearer.TOKEN, or in the first message";
        return Err(Refused::bad_request("token", body));
    }
    let by_query = query.token.is_some();
    let token = one_token([offers.token, authorization(headers)?, query.token])?;
    if by_query && page == Page::Unknown {
        // Whoever follows a link sends its query: without an Origin nobody says that it was not a page that made them.
        let body = "a token in the query needs the header Origin: without one, send the token as the header \
                    Authorization: Bearer TOKEN, as the subprotocol bearer.TOKEN, or in the first message";
        return Err(Refused::new(StatusCode::FORBIDDEN, "origin", body));
    }
    let extensions = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
    let deflate = match config.compression {
        true => negotiate(extensions.filter_map(|value| value.to_str().ok())),
        false => None,
    };
    Ok(Accepted {
        accept_key,
        subprotocol: offers.chosen.map(|index| config.protocols[index].name),
        protocol,
        room,
        echo: query.echo,
        name: query.name,
        token,
        deflate,
    })
}

fn check_upgrade(method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
    if method != Method::GET {
        let refused = Refused::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method",
            "a WebSocket is opened with GET",
        );
        return Err(refused.with("allow", "GET"));
    }
    if !headers.contains_key(header::UPGRADE) {
        let body = "this address speaks WebSocket: ask for it with Upgrade: websocket";
        let refused = Refused::new(StatusCode::UPGRADE_REQUIRED, "upgrade", body);
        return Err(refused
            .with("upgrade", "websocket")
            .with("connection", "Upgrade"));
    }
    if !list(headers, header::UPGRADE).any(|item| item.eq_ignore_ascii_case("websocket")) {
        return Err(Refused::bad_request(
            "upgrade",
            "the header Upgrade must say websocket",
        ));
    }
    if !list(headers, header::CONNECTION).any(|item| item.eq_ignore_ascii_case("upgrade")) {
        return Err(Refused::bad_request(
            "upgrade",
            "the header Connection must say Upgrade",
        ));
    }
    if single(headers, header::SEC_WEBSOCKET_VERSION)
        .ok()
        .flatten()
        != Some("13")
    {
        let body = "the header Sec-WebSocket-Version must be 13";
        let refused = Refused::new(StatusCode::UPGRADE_REQUIRED, "version", body);
        // RFC 9110 §15.5.22 wants Upgrade with every 426.
        let refused = refused
            .with("upgrade", "websocket")
            .with("connection", "Upgrade");
        return Err(refused.with("sec-websocket-version", "13"));
    }
    Ok(())
}

fn accept_key(headers: &HeaderMap) -> Result<String, Refused> {
    let key = single(headers, header::SEC_WEBSOCKET_KEY).ok().flatten();
    let key = key
        .filter(|key| BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16))
        .ok_or_else(|| {
            Refused::bad_request(
                "key",
                "the header Sec-WebSocket-Key must be 16 bytes in base64, once",
            )
        })?;
    Ok(BASE64.encode(
        Sha1::new()
            .chain_update(key)
            .chain_update(KEY_SUFFIX)
            .finalize(),
    ))
}

/// What is known of the page that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// There is an `Origin`, and it may connect.
    Allowed,
    /// There is none: no browser sent this, or one that does not say.
    Unknown,
}

/// Judges whether the page that sends a request may.
pub(crate) fn check_origin(headers: &HeaderMap, allowed: &Origins) -> Result<Page, Refused> {
    let refused = |body| Err(Refused::new(StatusCode::FORBIDDEN, "origin", body));
    let origin = match single(headers, header::ORIGIN) {
        // Only browsers send one, and only their users can be tricked by a page (RFC 6455 §10.2).
        Ok(None) => return Ok(Page::Unknown),
        _ if allowed.any() => return Ok(Page::Allowed),
        Ok(Some(text)) => Origin::parse(text),
        Err(Unusable) => None,
    };
    let Some(origin) = origin else {
        return refused("the header Origin must be null or scheme://host[:port], once");
    };
    let host = single(headers, header::HOST).ok().flatten();
    if allowed.allow(&origin, host) {
        return Ok(Page::Allowed);
    }
    refused(match allowed.is_list() {
        true => "pages of this origin may not connect: it is not among the allowed origins",
        false => "pages of this origin may not connect: its host and port are not this server's",
    })
}

/// What `Sec-WebSocket-Protocol` offers.
struct Offers {
    chosen: Option<usize>,
    token: Option<String>,
}

impl Offers {
    /// The client's first choice among the known ones (RFC 6455 §4.1 item 10).
    fn of(headers: &HeaderMap, protocols: &[Subprotocol]) -> Result<Self, Refused> {
        let mut offers = Self {
            chosen: None,
            token: None,
        };
        let mut any = false;
        for offer in list(headers, header::SEC_WEBSOCKET_PROTOCOL) {
            any = true;
            if let Some(token) = offer.strip_prefix(TOKEN_PREFIX) {
                offers.token = one_token([offers.token, Some(token.to_owned()), None])?;
            } else if offers.chosen.is_none() {
                offers.chosen = protocols.iter().position(|known| known.name == offer);
            }
        }
        if any && offers.chosen.is_none() {
            // Browsers fail a connection whose server picks none of what they offered, so a token alone
            // is refused as well, in words.
            let names = protocols
                .iter()
                .map(|known| known.name)
                .collect::<Vec<_>>()
                .join(", ");
            let body =
                format!("none of the subprotocols offered is known here; accepted are: {names}");
            return Err(Refused::bad_request("subprotocol", body));
        }
        Ok(offers)
    }
}

/// The protocol of the header, else of the query, else the first.
fn choose_protocol(
    offers: &Offers,
    query: &Query,
    protocols: &[Subprotocol],
) -> Result<usize, Refused> {
    let Some(short) = query.protocol.as_deref() else {
        return Ok(offers.chosen.unwrap_or(0));
    };
    let Some(asked) = protocols.iter().position(|known| known.short == short) else {
        let names = protocols
            .iter()
            .map(|known| known.short)
            .collect::<Vec<_>>()
            .join(", ");
        return Err(Refused::bad_request(
            "query",
            format!("the query parameter protocol must be one of: {names}"),
        ));
    };
    match offers.chosen {
        Some(chosen) if chosen != asked => {
            let body = "the query parameter protocol and the subprotocol contradict each other: leave one out";
            Err(Refused::bad_request("query", body))
        }
        _ => Ok(asked),
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1); other schemes may be a proxy's business.
pub(crate) fn authorization(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let unusable = |Unusable| {
        Refused::bad_request("token", "the header Authorization must be ASCII text, once")
    };
    Ok(single(headers, header::AUTHORIZATION)
        .map_err(unusable)?
        .and_then(|value| {
            let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
            scheme
                .eq_ignore_ascii_case("bearer")
                .then(|| token.trim().to_owned())
        }))
}

/// At most one of these, and not an empty one: which of two would count, nobody could tell.
pub(crate) fn one_token(tokens: [Option<String>; 3]) -> Result<Option<String>, Refused> {
    let mut given = tokens.into_iter().flatten();
    let token = given.next();
    if given.next().is_some() {
        return Err(Refused::bad_request(
            "token",
            "there are two tokens: send one, in one place",
        ));
    }
    match token.as_deref() {
        Some("") => Err(Refused::bad_request("token", "the token is empty")),
        _ => Ok(token),
    }
}

/// A header that stands there more than once, or is not visible ASCII.
struct Unusable;

fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&str>, Unusable> {
    let mut values = headers.get_all(name).iter();
    let first = values
        .next()
        .map(HeaderValue::to_str)
        .transpose()
        .map_err(|_| Unusable)?;
    match values.next() {
        Some(_) => Err(Unusable),
        None => Ok(first.map(str::trim)),
    }
}

/// The elements of a header that is a comma-separated list (RFC 9110 §5.6.1).
fn list(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests;
