//! Sessions of services that came with an API key. A key is nobody: what its session says is from no user, and the rules of
//! rooms do not hold for it, nor is the channel's handler asked about it. What the key may do at all, its scopes say, is
//! looked at before there is a session.

use super::{Phase, Session};

impl Session {
    /// The session is that of the service with this scope, which tells it from all other publishers.
    pub fn serve(&mut self, scope: Box<[u8]>) {
        self.service = Some(scope);
        self.phase = Phase::Fresh;
    }

    /// Whether it is a service's.
    pub fn is_service(&self) -> bool {
        self.service.is_some()
    }
}
