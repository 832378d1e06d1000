//! A problem as a `google.rpc.Status`: the code that gRPC has for its kind, and ours in the details.

use std::collections::HashMap;
use std::time::Duration;

use linnet_proto::v1::{self, PublishStreamResponse};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::super::problem::Problem;
use crate::protocol::ErrorCode;
use crate::protocol::protobuf::decode::Wrong;
use crate::transport::grpc::Refused;

/// Whose codes they are.
const DOMAIN: &str = "linnet.dev";

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        let mut details = ErrorDetails::with_error_info(problem.code, DOMAIN, HashMap::new());
        if let Some(wait) = problem.retry_after_ms {
            details.set_retry_info(Some(Duration::from_millis(wait.into())));
        }
        if let Some(field) = problem.field() {
            details.add_bad_request_violation(field, &*problem.detail);
        }
        Self::with_error_details(code(problem.status), &*problem.detail, details)
    }
}

impl From<Wrong> for Problem {
    fn from(wrong: Wrong) -> Self {
        Self::new(wrong.code, wrong.message).at(&format!("/{}", wrong.field))
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let wait = refused.wait.map(|wait| wait.as_millis());
        let mut problem = Self::new(refused.code, refused.message);
        problem.retry_after_ms = wait.and_then(|wait| u32::try_from(wait).ok());
        problem
    }
}

impl From<Problem> for v1::Error {
    fn from(problem: Problem) -> Self {
        Self {
            field: problem.field().map(str::to_owned),
            code: problem.code.to_owned(),
            retry_after_ms: problem.retry_after_ms.map(u64::from),
            message: problem.detail.into_owned(),
        }
    }
}

/// What is wrong, and what came of the messages before.
pub(super) fn with_summary(problem: Problem, summary: &PublishStreamResponse) -> Status {
    let bare = Status::from(problem);
    let Ok(mut details) = tonic_types::Status::decode(bare.details()) else {
        return bare; // it was written a moment ago
    };
    details.details.push(Any {
        type_url: "type.googleapis.com/linnet.v1.PublishStreamResponse".to_owned(),
        value: summary.encode_to_vec(),
    });
    Status::with_details(bare.code(), bare.message(), details.encode_to_vec().into())
}

/// How a session was closed. What a close code says a client should do, gRPC's says too: `UNAVAILABLE` is come back.
pub(super) fn closed(code: u16, reason: &str) -> Status {
    let found = ErrorCode::ALL
        .into_iter()
        .find(|code| code.as_str() == reason);
    let known = found.unwrap_or(match code {
        code if code == ErrorCode::Rejected.close_code() => ErrorCode::Rejected,
        _ => ErrorCode::Internal,
    });
    let bare = Status::from(Problem::new(
        known,
        match found {
            Some(known) => known.advice().to_owned(),
            None => reason.to_owned(), // a service's words, or the handler's
        },
    ));
    let told = match (bare.code(), code) {
        (told @ (Code::Unauthenticated | Code::PermissionDenied), _) => told,
        (_, 1011..=1013 | 4100..=4299) => Code::Unavailable,
        (_, 1007..=1009) => Code::InvalidArgument,
        _ => Code::Aborted,
    };
    Status::with_details(told, bare.message(), bare.details().to_vec().into())
}

/// The same with where a stream was.
pub(super) fn with_cursor(status: Status, cursor: &str) -> Status {
    let mut details = status.get_error_details();
    if let Some(info) = details.error_info().cloned()
        && !cursor.is_empty()
    {
        let mut metadata = info.metadata;
        metadata.insert("cursor".to_owned(), cursor.to_owned());
        details.set_error_info(info.reason, info.domain, metadata);
    }
    Status::with_error_details(status.code(), status.message(), details)
}

/// The code of gRPC for an HTTP status. A publish of unknown outcome is not `UNAVAILABLE`: clients send that again by
/// themselves.
fn code(status: u16) -> Code {
    match status {
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::Aborted,
        408 | 504 => Code::DeadlineExceeded,
        429 | 507 => Code::ResourceExhausted,
        503 => Code::Unavailable,
        400..=499 => Code::InvalidArgument,
        _ => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_one_of_grpcs_and_told_in_the_details() {
        for (told, expected) in [
            (ErrorCode::BadRequest, Code::InvalidArgument),
            (ErrorCode::BadRoom, Code::InvalidArgument),
            (ErrorCode::MessageTooLarge, Code::InvalidArgument),
            (ErrorCode::Unauthenticated, Code::Unauthenticated),
            (ErrorCode::TokenExpired, Code::Unauthenticated),
            (ErrorCode::Forbidden, Code::PermissionDenied),
            (ErrorCode::NoHistory, Code::NotFound),
            (ErrorCode::NoPresence, Code::NotFound),
            (ErrorCode::RateLimited, Code::ResourceExhausted),
            (ErrorCode::StorageFull, Code::ResourceExhausted),
            (ErrorCode::Overloaded, Code::Unavailable),
            (ErrorCode::Unavailable, Code::Unavailable),
            (ErrorCode::Draining, Code::Unavailable),
            (ErrorCode::OutcomeUnknown, Code::DeadlineExceeded),
            (ErrorCode::Internal, Code::Internal),
        ] {
            let status = Status::from(Problem::from(told));
            assert_eq!(status.code(), expected, "{told:?}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(
                (info.reason.as_str(), &*info.domain),
                (told.as_str(), DOMAIN)
            );
        }
    }

    #[test]
    fn a_wait_and_a_field_are_details_too() {
        let status = Status::from(Problem::rate_limited(1500));
        let retry = status.get_details_retry_info().unwrap();
        assert_eq!(retry.retry_delay, Some(Duration::from_millis(1500)));
        let status = Status::from(Problem::from(Wrong::new("event", "too long")));
        let bad = status.get_details_bad_request().unwrap();
        assert_eq!(bad.field_violations[0].field, "event");
        assert_eq!(bad.field_violations[0].description, "too long");
    }

    #[test]
    fn a_close_says_whether_to_come_back_and_from_where() {
        for (code, reason, expected) in [
            (1012, "draining", Code::Unavailable),
            (4100, "slow_consumer", Code::Unavailable),
            (4201, "token_expired", Code::Unauthenticated),
            (4006, "revoked", Code::Unauthenticated),
            (4004, "replaced", Code::Aborted),
            (4500, "see you tomorrow", Code::Aborted),
            (1009, "message_too_large", Code::InvalidArgument),
        ] {
            let status = with_cursor(closed(code, reason), "c");
            assert_eq!(status.code(), expected, "{reason}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.metadata["cursor"], "c");
        }
    }

    #[test]
    fn what_came_of_the_messages_before_is_beside_what_is_wrong() {
        let summary = PublishStreamResponse {
            received: 7,
            ..PublishStreamResponse::default()
        };
        let status = with_summary(ErrorCode::Draining.into(), &summary);
        assert_eq!(status.get_details_error_info().unwrap().reason, "draining");
        let details = tonic_types::Status::decode(status.details()).unwrap();
        let told = details.details.last().unwrap();
        assert!(told.type_url.ends_with("/linnet.v1.PublishStreamResponse"));
        assert_eq!(PublishStreamResponse::decode(&*told.value), Ok(summary));
    }
}
