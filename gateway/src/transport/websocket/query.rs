//! The parameters of the handshake's address: `?room=lobby&protocol=plain&echo=false&name=Ann`.

/// The longest room name, in bytes.
const MAX_ROOM: usize = 256;

/// The longest text of the object `{"name":"…"}` that a name becomes, in bytes.
const MAX_INFO: usize = 1024;

/// What the address asks for. Parameters that it doesn't know are ignored.
#[derive(Clone, PartialEq, Eq)]
pub struct Query {
    /// `room`: 1 to 256 bytes without control characters.
    pub room: Option<String>,
    /// `protocol`: any text; what there is to choose from the handshake knows.
    pub protocol: Option<String>,
    /// `echo`: `true`, the default, or `false`.
    pub echo: bool,
    /// `name`: not empty, without control characters, and such that `{"name":"…"}` is at most 1024 bytes of JSON.
    pub name: Option<String>,
    /// `token`: a secret, so this type has no `Debug`.
    pub token: Option<String>,
}

/// A parameter that can't be used; the text is for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A stray `%`, or bytes that are not UTF-8.
    #[error("the query parameter {0} must be percent-encoded UTF-8")]
    Encoding(&'static str),
    /// The parameter stands there twice.
    #[error("the query parameter {0} may be given once only")]
    Repeated(&'static str),
    /// Not a room's name.
    #[error("the query parameter room must be 1 to 256 bytes without control characters")]
    Room,
    /// Neither `true` nor `false`.
    #[error("the query parameter echo must be true or false")]
    Echo,
    /// Empty, too long, or with control characters.
    #[error(
        "the query parameter name must not be empty, have control characters or be over about 1000 bytes"
    )]
    Name,
}

impl Query {
    /// Reads the part of an address after `?`, as browsers write it: `+` is a space
    /// (WHATWG URL, application/x-www-form-urlencoded).
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let [mut room, mut protocol, mut echo, mut name, mut token] = [const { None }; 5];
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            // A key that can't be decoded is none of these.
            let (key, slot) = match decode(key).as_deref() {
                Some("room") => ("room", &mut room),
                Some("protocol") => ("protocol", &mut protocol),
                Some("echo") => ("echo", &mut echo),
                Some("name") => ("name", &mut name),
                Some("token") => ("token", &mut token),
                _ => continue,
            };
            let value = decode(value).ok_or(QueryError::Encoding(key))?;
            if slot.replace(value).is_some() {
                return Err(QueryError::Repeated(key));
            }
        }
        if !room.as_deref().is_none_or(is_room) {
            return Err(QueryError::Room);
        }
        if !name.as_deref().is_none_or(is_name) {
            return Err(QueryError::Name);
        }
        let echo = match echo.as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(QueryError::Echo),
        };
        Ok(Self {
            room,
            protocol,
            echo,
            name,
            token,
        })
    }
}

fn is_room(room: &str) -> bool {
    (1..=MAX_ROOM).contains(&room.len()) && !room.contains(char::is_control)
}

/// Whether a client may call itself that.
pub(crate) fn is_name(name: &str) -> bool {
    // Without control characters these two are all that JSON escapes, by one byte each.
    let escapes = name
        .bytes()
        .filter(|byte| matches!(byte, b'"' | b'\\'))
        .count();
    !name.is_empty()
        && !name.contains(char::is_control)
        && r#"{"name":""}"#.len() + name.len() + escapes <= MAX_INFO
}

/// Undoes percent-encoding (RFC 3986 §2.1), `+` too; `None` where it is broken or gives no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                (high << 4 | low) as u8
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
