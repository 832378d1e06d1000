//! Whether what is published fits the schema of its room.

use linnet_crds::data::{DataFault, DataSchema};

use crate::message::Payload;
use crate::protocol::{ErrorCode, Refusal, RequestId};

/// Checks a payload: JSON as it is, the plain protocol's text as a string. Bytes fit no schema.
///
/// # Errors
/// What does not fit.
pub fn check(schema: &DataSchema, payload: &Payload) -> Result<(), DataFault> {
    match payload {
        Payload::Json(json) => schema.check(json),
        Payload::Text(text) => schema.check_string(text),
        Payload::Binary(_) => Err(DataFault::whole(
            "binary data fits no schema: this room takes JSON",
        )),
    }
}

/// The answer to data that does not fit. Its pointer is from the request's frame on.
pub fn refusal(id: Option<RequestId>, fault: DataFault) -> Refusal {
    Refusal {
        message: format!(
            "the data does not fit this room's schema: {}",
            fault.message
        )
        .into(),
        pointer: Some(format!("/data{}", fault.pointer).into()),
        ..Refusal::new(id, ErrorCode::BadRequest)
    }
}
