//! `Idempotency-Key`: a call that is sent again gets the answer of the first, and is not done again.
//!
//! Who does a call claims its key before and puts the answer down after. What has failed is given up, so that it can be
//! tried again; a message that it may have published all the same has an id of the key's, which makes the next try the
//! same message where the room knows repeats.

mod memory;

use std::time::Duration;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::memory::Memory;
use super::call::Answered;
use super::problem::Problem;
use crate::broker::nats::answers::{Answers, Claim, ClaimError};
use crate::protocol::ErrorCode;

/// How long an answer is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);
/// Longest key, in bytes.
const LONGEST: usize = 255;
/// After how many milliseconds to look again for the answer of a call that is under way.
const LOOK_AGAIN: u64 = 1000;

/// A caller's key of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Names caller, route and key: 64 hexadecimal digits.
    pub(super) id: String,
    /// Tells this call's body from others.
    fingerprint: String,
}

impl Key {
    /// The key of a call, if it has one.
    pub(super) fn of(
        headers: &HeaderMap,
        caller: &[u8],
        route: &str,
        body: &[u8],
    ) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let key = value.to_str().unwrap_or_default();
        let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if values.next().is_some() || !visible || !(1..=LONGEST).contains(&key.len()) {
            return Err(Problem::bad_request(
                "Idempotency-Key must be one text of 1 to 255 visible ASCII characters",
            ));
        }
        Ok(Some(Self {
            id: hash(&[caller, route.as_bytes(), key.as_bytes()]),
            fingerprint: hash(&[body]),
        }))
    }

    /// The id of a call's message with this number. It is longer than what a caller may choose, so that it is none of
    /// those.
    pub(super) fn message_id(&self, number: usize) -> String {
        format!("{}:{number}", self.id)
    }
}

/// SHA-256 of parts, each with its length before it, in hexadecimal digits.
fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of the body that it came with.
    fingerprint: String,
    /// The answer; `None`: the call is under way.
    answer: Option<String>,
}

/// Keeps answers.
#[derive(Debug)]
pub(super) enum Once {
    /// In this process.
    Memory(Memory),
    /// Where all gateways find them.
    Shared(Box<Answers>),
}

/// A key that was claimed.
enum Claimed {
    Memory,
    Shared(Claim),
}

impl Once {
    /// Keeps answers where all gateways find them, if there is such a place.
    pub(super) fn new(shared: Option<Answers>) -> Self {
        match shared {
            Some(answers) => Self::Shared(Box::new(answers)),
            None => Self::Memory(Memory::default()),
        }
    }

    /// Does a call, or gives the answer that it had. Says whether it is that.
    pub(super) async fn run(
        &self,
        key: &Key,
        act: impl Future<Output = Result<Answered, Problem>>,
    ) -> Result<(Answered, bool), Problem> {
        let claimed = match self.claim(key).await? {
            Ok(claimed) => claimed,
            Err(known) => return replay(key, known).map(|answer| (answer, true)),
        };
        let done = act.await;
        match &done {
            Ok(answer) => self.settle(key, claimed, answer).await,
            Err(_) => self.release(key, claimed).await,
        }
        done.map(|answer| (answer, false))
    }

    /// Claims a key, or gives what is known of it.
    async fn claim(&self, key: &Key) -> Result<Result<Claimed, Record>, Problem> {
        let record = Record {
            fingerprint: key.fingerprint.clone(),
            answer: None,
        };
        match self {
            Self::Memory(memory) => Ok(match memory.claim(&key.id, record) {
                None => Ok(Claimed::Memory),
                Some(known) => Err(known),
            }),
            Self::Shared(answers) => match answers.claim(&key.id, &write(&record)).await {
                Ok(claim) => Ok(Ok(Claimed::Shared(claim))),
                Err(ClaimError::Taken(known)) => match serde_json::from_str(&known) {
                    Ok(known) => Ok(Err(known)),
                    Err(_) => Err(Problem::internal()), // others have written there
                },
                Err(error) => Err(Problem::new(ErrorCode::Unavailable, error.to_string())),
            },
        }
    }

    async fn settle(&self, key: &Key, claimed: Claimed, answer: &Answered) {
        let record = Record {
            fingerprint: key.fingerprint.clone(),
            answer: Some(String::from_utf8_lossy(&answer.0).into_owned()),
        };
        match (self, claimed) {
            (Self::Memory(memory), _) => memory.settle(&key.id, record),
            (Self::Shared(answers), Claimed::Shared(claim)) => {
                answers.settle(claim, &write(&record)).await;
            }
            (Self::Shared(_), Claimed::Memory) => {}
        }
    }

    async fn release(&self, key: &Key, claimed: Claimed) {
        match (self, claimed) {
            (Self::Memory(memory), _) => memory.release(&key.id),
            (Self::Shared(answers), Claimed::Shared(claim)) => answers.release(claim).await,
            (Self::Shared(_), Claimed::Memory) => {}
        }
    }
}

fn write(record: &Record) -> String {
    serde_json::to_string(record).unwrap_or_default() // texts always serialize
}

fn replay(key: &Key, known: Record) -> Result<Answered, Problem> {
    match known.answer {
        _ if known.fingerprint != key.fingerprint => Err(Problem::another_body()),
        None => Err(Problem::under_way(LOOK_AGAIN)),
        Some(answer) => Ok(Answered(answer.into_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(caller: &str, route: &str, key: &str, body: &str) -> Key {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", key.parse().unwrap());
        let key = Key::of(&headers, caller.as_bytes(), route, body.as_bytes());
        key.unwrap().unwrap()
    }

    #[test]
    fn a_key_is_one_of_a_caller_a_route_and_a_text() {
        let one = key("a", "r", "k", "body");
        assert_eq!(one, key("a", "r", "k", "body"));
        for other in [
            key("b", "r", "k", "body"),
            key("a", "s", "k", "body"),
            key("a", "r", "l", "body"),
            key("ar", "", "k", "body"),
        ] {
            assert_ne!(one.id, other.id);
        }
        let changed = key("a", "r", "k", "other");
        assert!(one.id == changed.id && one.fingerprint != changed.fingerprint);
        assert!(one.message_id(0).len() > 64 && one.message_id(0) != one.message_id(1));
    }

    #[test]
    fn a_key_is_one_short_text() {
        for bad in ["", "a b", &"x".repeat(256)] {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", bad.parse().unwrap());
            assert!(Key::of(&headers, b"a", "r", b"").is_err(), "{bad}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(Key::of(&headers, b"a", "r", b""), Ok(None));
        headers.append("idempotency-key", "a".parse().unwrap());
        headers.append("idempotency-key", "b".parse().unwrap());
        assert!(Key::of(&headers, b"a", "r", b"").is_err());
    }

    #[tokio::test]
    async fn what_was_done_is_done_once_and_what_failed_again() {
        let once = Once::new(None);
        let one = key("a", "r", "k", "body");
        let answer = |text: &str| Answered(text.as_bytes().to_vec());
        let failed = once.run(&one, async { Err(Problem::internal()) }).await;
        assert!(failed.is_err());
        let first = once.run(&one, async { Ok(answer("1")) }).await;
        assert_eq!(first, Ok((answer("1"), false)));
        let again = once.run(&one, async { Ok(answer("2")) }).await;
        assert_eq!(again, Ok((answer("1"), true)));
        let changed = key("a", "r", "k", "other");
        let refused = once.run(&changed, async { Ok(answer("3")) }).await;
        assert_eq!(refused, Err(Problem::another_body()));
    }

    #[tokio::test]
    async fn a_second_call_beside_the_first_is_told_to_wait() {
        let once = Once::new(None);
        let one = key("a", "r", "k", "body");
        let inner = async {
            let second = once.run(&one, async { Ok(Answered(Vec::new())) }).await;
            assert_eq!(second, Err(Problem::under_way(LOOK_AGAIN)));
            Ok(Answered(b"1".to_vec()))
        };
        assert!(once.run(&one, inner).await.is_ok());
    }
}
