//! What a request is for, as its method and address say, and what is answered where they make no sense.

use serde_json::json;

/// What a request is for. Sids are as they came: nothing is known of them yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A session begins over a WebSocket.
    WebSocket,
    /// A session begins over long-polling.
    Polling,
    /// The client of this session asks for what there is for it.
    Poll(&'a str),
    /// The client of this session says something.
    Payload(&'a str),
    /// The client of this session goes on over a WebSocket.
    Upgrade(&'a str),
}

/// How something is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// GET.
    Get,
    /// GET with the header Upgrade.
    Upgrade,
    /// POST.
    Post,
    /// Any other method.
    Other,
}

/// A request that nothing can come of: 400 with a JSON body, in the numbers and words of the reference implementation,
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

impl<'a> Step<'a> {
    /// Reads what a request is for. A parameter that stands there twice counts as none: which of the two would hold,
    /// nobody could tell.
    pub fn read(query: &'a str, verb: Verb) -> Result<Self, Refused> {
        if once(query, "EIO").flatten() != Some("4") {
            return Err(Refused::Version);
        }
        let polls = match once(query, "transport").flatten() {
            Some("polling") => true,
            Some("websocket") => false,
            _ => return Err(Refused::Transport),
        };
        match once(query, "sid") {
            Some(None) => match (polls, verb) {
                (true, Verb::Get) => Ok(Self::Polling),
                (false, Verb::Upgrade) => Ok(Self::WebSocket),
                (_, Verb::Post | Verb::Other) => Err(Refused::Method),
                _ => Err(Refused::BadRequest),
            },
            Some(Some(sid)) if !sid.is_empty() => match (polls, verb) {
                (true, Verb::Get) => Ok(Self::Poll(sid)),
                (true, Verb::Post) => Ok(Self::Payload(sid)),
                (false, Verb::Upgrade) => Ok(Self::Upgrade(sid)),
                _ => Err(Refused::BadRequest),
            },
            _ => Err(Refused::Sid),
        }
    }
}

/// The value of a parameter, `Some(None)` where it is not there; `None` where it stands there more than once.
fn once<'a>(query: &'a str, name: &str) -> Option<Option<&'a str>> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    });
    let first = values.next();
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERBS: [Verb; 4] = [Verb::Get, Verb::Upgrade, Verb::Post, Verb::Other];

    #[test]
    fn a_session_is_begun_by_version_and_transport() {
        for query in [
            "EIO=4&transport=websocket",
            "transport=websocket&EIO=4&t=abc&token=x",
        ] {
            assert_eq!(Step::read(query, Verb::Upgrade), Ok(Step::WebSocket));
        }
        let query = "EIO=4&transport=polling&t=abc";
        assert_eq!(Step::read(query, Verb::Get), Ok(Step::Polling));
    }

    #[test]
    fn a_sid_says_whose_a_request_is() {
        let query = "EIO=4&transport=polling&t=x&sid=a-b_c";
        assert_eq!(Step::read(query, Verb::Get), Ok(Step::Poll("a-b_c")));
        assert_eq!(Step::read(query, Verb::Post), Ok(Step::Payload("a-b_c")));
        let query = "EIO=4&transport=websocket&sid=a";
        assert_eq!(Step::read(query, Verb::Upgrade), Ok(Step::Upgrade("a")));
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
            ("EIO=4&transport=webtransport", Refused::Transport),
            (
                "EIO=4&transport=polling&transport=polling",
                Refused::Transport,
            ),
            ("EIO=4&transport=websocket&sid=", Refused::Sid),
            ("EIO=4&transport=websocket&sid", Refused::Sid),
            ("EIO=4&transport=polling&sid=a&sid=a", Refused::Sid),
        ] {
            for verb in VERBS {
                assert_eq!(Step::read(query, verb), Err(refused), "{query}");
            }
        }
        for (query, verb, refused) in [
            ("websocket", Verb::Post, Refused::Method),
            ("websocket", Verb::Get, Refused::BadRequest),
            ("polling", Verb::Post, Refused::Method),
            ("polling", Verb::Other, Refused::Method),
            ("polling", Verb::Upgrade, Refused::BadRequest),
            ("polling&sid=a", Verb::Other, Refused::BadRequest),
            ("polling&sid=a", Verb::Upgrade, Refused::BadRequest),
            ("websocket&sid=a", Verb::Get, Refused::BadRequest),
            ("websocket&sid=a", Verb::Post, Refused::BadRequest),
        ] {
            let query = format!("EIO=4&transport={query}");
            assert_eq!(Step::read(&query, verb), Err(refused), "{query} {verb:?}");
        }
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
