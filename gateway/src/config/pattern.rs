//! Patterns of room names, as rules and tokens write them: `*` is any run of characters, `{user_id}` the session's user.

/// The template that stands for the session's user.
const USER: &str = "{user_id}";

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Segment>);

/// A part of a pattern: text that must stand there, any run of characters, or the user.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Text(String),
    Any,
    User,
}

impl Pattern {
    /// Compiles a pattern; every text is one.
    #[must_use]
    pub fn parse(pattern: &str) -> Self {
        Self(segments(pattern))
    }

    /// Whether a name fits it, for this user; without one `{user_id}` is any run of characters.
    #[must_use]
    pub fn matches(&self, name: &str, user: Option<&str>) -> bool {
        matches(&self.0, name, user)
    }

    /// Whether a name that begins with `prefix`, and goes on behind it, may fit.
    #[must_use]
    pub fn reaches(&self, prefix: &str) -> bool {
        let mut rest = prefix;
        for segment in &self.0 {
            let Segment::Text(text) = segment else {
                return true; // a wildcard takes the rest, and what is behind it may be anything
            };
            match rest.strip_prefix(text.as_str()) {
                Some(after) => rest = after,
                None => return text.len() > rest.len() && text.starts_with(rest),
            }
        }
        false // it ends before the prefix does, or with it
    }

    /// Whether every name that begins with `prefix` fits.
    #[must_use]
    pub fn covers(&self, prefix: &str) -> bool {
        match self.0.as_slice() {
            [Segment::Any] => true,
            [Segment::Text(text), Segment::Any] => prefix.starts_with(text.as_str()),
            _ => false,
        }
    }
}

fn segments(pattern: &str) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for (index, part) in pattern.split(USER).enumerate() {
        if index > 0 {
            segments.push(Segment::User);
        }
        for (index, text) in part.split('*').enumerate() {
            if index > 0 && segments.last() != Some(&Segment::Any) {
                segments.push(Segment::Any);
            }
            if !text.is_empty() {
                segments.push(Segment::Text(text.into()));
            }
        }
    }
    segments
}

/// Matches in O(pattern × name): remembers only the last wildcard, which may always take more. Without a user,
/// `{user_id}` is a wildcard too.
fn matches(pattern: &[Segment], name: &str, user: Option<&str>) -> bool {
    let (mut segment, mut rest) = (0, name);
    let mut retry: Option<(usize, &str)> = None;
    loop {
        let literal = match pattern.get(segment) {
            Some(Segment::Text(text)) => Some(text.as_str()),
            Some(Segment::User) => user,
            Some(Segment::Any) => None,
            None if rest.is_empty() => return true,
            None => Some("\0"), // no room name holds it: the wildcard before must take more
        };
        match literal {
            None => {
                segment += 1;
                retry = Some((segment, rest));
            }
            Some(text) => match rest.strip_prefix(text) {
                Some(after) => {
                    segment += 1;
                    rest = after;
                }
                None => {
                    let Some((after_wildcard, from)) = retry else {
                        return false;
                    };
                    let Some(skipped) = from.chars().next() else {
                        return false;
                    };
                    rest = &from[skipped.len_utf8()..];
                    segment = after_wildcard;
                    retry = Some((after_wildcard, rest));
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, name: &str, user: Option<&str>) -> bool {
        matches(&segments(pattern), name, user)
    }

    #[test]
    fn a_star_is_any_run_of_characters_dots_included() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "anything.at.all", true),
            ("orders.*", "orders.eu.1", true),
            ("orders.*", "orders", false),
            ("*.log", "a.log.log", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("lobby", "lobby", true),
            ("lobby", "lobby2", false),
            ("**", "x", true),
            ("*ü*", "größe über", true),
        ] {
            assert_eq!(
                is_match(pattern, name, Some("ann")),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn names_behind_a_prefix_may_fit_or_all_of_them_do() {
        for (pattern, prefix, reaches, covers) in [
            ("*", "", true, true),
            ("*", "chat/", true, true),
            ("chat/*", "chat/", true, true),
            ("chat/*", "chat/eu/", true, true),
            ("chat/*", "cha", true, false),
            ("chat/*", "chats/", false, false),
            ("chat/lobby", "chat/", true, false),
            ("chat/lobby", "chat/lobby", false, false),
            ("chat/", "chat/", false, false),
            ("chat/{user_id}", "chat/", true, false),
            ("{user_id}/*", "chat/", true, false),
            ("*.log", "chat/", true, false),
            ("chat/*x", "chat/", true, false),
            ("", "", false, false),
        ] {
            let compiled = Pattern::parse(pattern);
            let found = (compiled.reaches(prefix), compiled.covers(prefix));
            assert_eq!(found, (reaches, covers), "{pattern} {prefix}");
        }
    }

    #[test]
    fn the_user_template_is_the_session_user_only() {
        assert!(is_match("user.{user_id}.*", "user.ann.x", Some("ann")));
        assert!(!is_match("user.{user_id}.*", "user.bob.x", Some("ann")));
        assert!(is_match("dm.{user_id}-*", "dm.ann-bob", Some("ann")));
        assert!(is_match("user.{user_id}.*", "user.bob.x", None));
    }
}
