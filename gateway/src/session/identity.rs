//! The step that turns a token into a user.

use crate::config::Channel;
use crate::names::UserId;
use crate::protocol::ErrorCode;

/// Says whose token it is. No channel that this version accepts has a key to check one with, so none is anybody's.
pub fn authenticate(_token: &str, _channel: &Channel) -> Result<UserId, ErrorCode> {
    Err(ErrorCode::InvalidToken)
}
