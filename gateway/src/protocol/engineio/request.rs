//! What the address of a request must say, and what is answered where it does not.

use serde_json::json;

/// A request that no session can come of: 400 with a JSON body, in the numbers and words of the reference implementation,
/// which its clients show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A transport that there is not.
    Transport,
    /// A session that there is not.
    Sid,
    /// A session is not begun with this method.
    Method,
    /// The request is not what its transport wants.
    BadRequest,
    /// Another version of the protocol.
    Version,
}

impl Refused {
    /// The body of the answer.
    #[must_use]
    pub fn body(self) -> String {
        let (code, message) = match self {
            Self::Transport => (0, "Transport unknown"),
            Self::Sid => (1, "Session ID unknown"),
            Self::Method => (2, "Bad handshake method"),
            Self::BadRequest => (3, "Bad request"),
            Self::Version => (5, "Unsupported protocol version"),
        };
        json!({ "code": code, "message": message }).to_string()
    }
}

/// Judges what comes before a handshake for a WebSocket: `upgrades` is whether it is one. A parameter that stands there
/// twice counts as none: which of the two would hold, nobody could tell.
pub fn check(query: &str, get: bool, upgrades: bool) -> Result<(), Refused> {
    let value = |name: &str| {
        let mut values = query.split('&').filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        });
        let first = values.next();
        (values.next().is_none()).then_some(first).flatten()
    };
    if value("EIO") != Some("4") {
        return Err(Refused::Version);
    }
    if value("transport") != Some("websocket") {
        return Err(Refused::Transport);
    }
    if query
        .split('&')
        .any(|pair| pair == "sid" || pair.starts_with("sid="))
    {
        return Err(Refused::Sid); // no session is there to be changed to a WebSocket
    }
    match (get, upgrades) {
        (true, true) => Ok(()),
        (false, _) => Err(Refused::Method),
        (true, false) => Err(Refused::BadRequest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_over_websocket_is_begun_by_version_and_transport() {
        for query in [
            "EIO=4&transport=websocket",
            "transport=websocket&EIO=4&t=abc&token=x",
        ] {
            assert_eq!(check(query, true, true), Ok(()), "{query}");
        }
    }

    #[test]
    fn all_else_is_refused_in_the_words_of_the_protocol() {
        for (query, refused) in [
            ("", Refused::Version),
            ("transport=websocket", Refused::Version),
            ("EIO=3&transport=websocket", Refused::Version),
            ("EIO=4&EIO=4&transport=websocket", Refused::Version),
            ("EIO=4", Refused::Transport),
            ("EIO=4&transport=", Refused::Transport),
            ("EIO=4&transport=polling", Refused::Transport),
            ("EIO=4&transport=polling&sid=x", Refused::Transport),
            ("EIO=4&transport=webtransport", Refused::Transport),
            ("EIO=4&transport=websocket&sid=x", Refused::Sid),
            ("EIO=4&transport=websocket&sid=", Refused::Sid),
            ("EIO=4&transport=websocket&sid", Refused::Sid),
        ] {
            assert_eq!(check(query, true, true), Err(refused), "{query}");
        }
        let query = "EIO=4&transport=websocket";
        assert_eq!(check(query, false, true), Err(Refused::Method));
        assert_eq!(check(query, true, false), Err(Refused::BadRequest));
    }

    #[test]
    fn the_body_has_a_code_and_a_message() {
        assert_eq!(
            Refused::Transport.body(),
            r#"{"code":0,"message":"Transport unknown"}"#
        );
        assert_eq!(
            Refused::Version.body(),
            r#"{"code":5,"message":"Unsupported protocol version"}"#
        );
    }
}
