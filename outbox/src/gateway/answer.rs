//! What a gateway's answer means for a row.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;

/// What became of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What to do with the row.
    pub verdict: Verdict,
    /// The code of the problem, for metrics; empty where there is none.
    pub code: String,
    /// In words, for people.
    pub reason: String,
}

/// What to do with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is in its room.
    Published {
        /// It was before.
        duplicate: bool,
        /// Whether the room would have known it.
        deduplicated: bool,
    },
    /// It is certainly not in its room: send it again, not before this time is over.
    Later(Option<Duration>),
    /// It may be in its room: send it again.
    Unknown,
    /// It will never be, as it is.
    Failed,
}

/// Codes of the protocol that say that nothing was published, for a reason that passes.
const PASSING: [&str; 10] = [
    "unavailable",
    "overloaded",
    "rate_limited",
    "storage_full",
    "storage_limit",
    "no_storage",
    "broker_unauthorized",
    "broker_denied",
    "draining",
    "keys_unavailable",
];

/// What says that the message itself is refused, where a code goes with it.
const REFUSED: [StatusCode; 3] = [
    StatusCode::BAD_REQUEST,
    StatusCode::FORBIDDEN,
    StatusCode::PAYLOAD_TOO_LARGE,
];

/// The body of an error (RFC 9457).
#[derive(Debug, Default, Deserialize)]
pub struct Refusal {
    /// The protocol's word for it; empty where this is no gateway's answer.
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    title: String,
    /// Milliseconds to wait.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// Reads the body of an answer that is not 200.
    #[must_use]
    pub fn read(status: StatusCode, body: &[u8]) -> Self {
        let mut refusal: Self = serde_json::from_slice(body).unwrap_or_default();
        if refusal.detail.is_empty() {
            refusal.detail = match refusal.title.as_str() {
                "" => format!("HTTP status {status}"),
                title => title.to_owned(),
            };
        }
        refusal
    }

    /// What went wrong, in words.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.detail
    }
}

/// The body of an ack.
#[derive(Debug, Default, Deserialize)]
struct Ack {
    #[serde(default)]
    duplicate: bool,
    deduplicated: Option<bool>,
}

impl Outcome {
    /// Of this answer to a publish. `challenged` where it has `WWW-Authenticate`: then it is about the key.
    #[must_use]
    pub fn of(status: StatusCode, challenged: bool, body: &[u8]) -> Self {
        if status == StatusCode::OK {
            let ack: Ack = serde_json::from_slice(body).unwrap_or_default();
            return Self {
                verdict: Verdict::Published {
                    duplicate: ack.duplicate,
                    deduplicated: ack.deduplicated.unwrap_or(true),
                },
                code: String::new(),
                reason: String::new(),
            };
        }
        let refusal = Refusal::read(status, body);
        let after = refusal.retry_after_ms.map(Duration::from_millis);
        let verdict = match refusal.code.as_str() {
            "outcome_unknown" => Verdict::Unknown,
            code if PASSING.contains(&code) => Verdict::Later(after),
            // A refused key would refuse every row, and an answer without a code is another server's: neither says
            // anything about this row, and both are mended elsewhere.
            code if status.is_client_error() => {
                match REFUSED.contains(&status) && !challenged && !code.is_empty() {
                    true => Verdict::Failed,
                    false => Verdict::Later(after),
                }
            }
            _ => Verdict::Unknown,
        };
        let code = match refusal.code.is_empty() {
            true => format!("http_{}", status.as_u16()),
            false => refusal.code.clone(),
        };
        Self {
            verdict,
            code,
            reason: refusal.detail,
        }
    }

    /// Of a row that is not even sent.
    #[must_use]
    pub fn unfit(reason: String) -> Self {
        Self {
            verdict: Verdict::Failed,
            code: "bad_request".to_owned(),
            reason,
        }
    }

    /// Without an answer; `sent` says whether the request may have come through.
    #[must_use]
    pub fn without_answer(sent: bool, reason: String) -> Self {
        Self {
            verdict: match sent {
                true => Verdict::Unknown,
                false => Verdict::Later(None),
            },
            code: "unreachable".to_owned(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Verdict {
        answer(status, false, body).verdict
    }

    fn answer(status: u16, challenged: bool, body: &str) -> Outcome {
        let status = StatusCode::from_u16(status).unwrap();
        Outcome::of(status, challenged, body.as_bytes())
    }

    fn problem(status: u16, code: &str) -> Verdict {
        verdict(status, &format!(r#"{{"code":"{code}","detail":"no"}}"#))
    }

    #[test]
    fn an_ack_says_whether_the_room_had_it() {
        let published = |duplicate, deduplicated| Verdict::Published {
            duplicate,
            deduplicated,
        };
        let ack = r#"{"room":"a","epoch":"x","offset":3,"timestamp":1}"#;
        assert_eq!(verdict(200, ack), published(false, true));
        assert_eq!(verdict(200, r#"{"duplicate":true}"#), published(true, true));
        assert_eq!(
            verdict(200, r#"{"deduplicated":false}"#),
            published(false, false)
        );
    }

    #[test]
    fn what_passes_is_sent_again_and_what_may_have_come_through_is_told_apart() {
        for code in PASSING {
            assert_eq!(problem(503, code), Verdict::Later(None), "{code}");
        }
        assert_eq!(problem(503, "outcome_unknown"), Verdict::Unknown);
        assert_eq!(problem(500, "internal"), Verdict::Unknown);
        assert_eq!(verdict(502, "<html>"), Verdict::Unknown, "a proxy's answer");
        let wait = r#"{"code":"overloaded","retry_after_ms":250}"#;
        assert_eq!(
            verdict(503, wait),
            Verdict::Later(Some(Duration::from_millis(250)))
        );
    }

    #[test]
    fn a_refused_key_and_another_server_fail_no_row() {
        let later = Verdict::Later(None);
        assert_eq!(verdict(401, ""), later);
        assert_eq!(problem(401, "unauthenticated"), later);
        let no_scope = answer(403, true, r#"{"code":"forbidden"}"#);
        assert_eq!(no_scope.verdict, later);
        assert_eq!(verdict(404, "404 page not found"), later);
        assert_eq!(verdict(403, "<html>"), later);
        assert_eq!(problem(408, "request_timeout"), later);
    }

    #[test]
    fn what_no_time_mends_fails_the_row_and_says_why() {
        for code in ["bad_room", "bad_request", "message_too_large", "forbidden"] {
            assert_eq!(problem(400, code), Verdict::Failed, "{code}");
        }
        let refused = answer(400, false, r#"{"code":"bad_room","title":"Bad Request"}"#);
        assert_eq!(
            (refused.code.as_str(), refused.reason.as_str()),
            ("bad_room", "Bad Request")
        );
        let silent = answer(502, false, "");
        assert_eq!(silent.code, "http_502");
        assert!(silent.reason.contains("502"), "{silent:?}");
    }

    #[test]
    fn without_an_answer_it_depends_on_whether_it_was_sent() {
        assert_eq!(
            Outcome::without_answer(true, String::new()).verdict,
            Verdict::Unknown
        );
        assert_eq!(
            Outcome::without_answer(false, String::new()).verdict,
            Verdict::Later(None)
        );
    }
}
