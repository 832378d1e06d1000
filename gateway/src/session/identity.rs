//! Who a session is: what its token says, from the handshake, `connect` and `refresh`.

use std::borrow::Cow;

use super::{Outcome, Phase, Session, Surroundings};
use crate::auth::access::Asker;
use crate::auth::{Identity, TokenError, Verb};
use crate::config::Channel;
use crate::names::RoomName;
use crate::protocol::{ErrorCode, Refusal, RequestId};

impl Session {
    /// The handshake's token was this one's.
    pub fn identify(&mut self, identity: Box<Identity>) {
        self.take_identity(identity);
        self.phase = Phase::Fresh;
    }

    /// When the token's time is over, in seconds since the Unix epoch; `None` for an anonymous session.
    pub fn ends(&self) -> Option<u64> {
        self.identity.as_ref().map(|identity| identity.ends)
    }

    /// Whose the session is, where a token says so.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }

    /// Forgets what the rules said: they have changed.
    pub fn forget_verdicts(&mut self) {
        self.verdicts.forget();
    }

    /// Asks the rules.
    pub(super) fn may(&mut self, verb: Verb, room: &RoomName, channel: &Channel) -> bool {
        if self.is_service() {
            return true;
        }
        let user = self.publisher();
        let asker = Asker {
            name: user.as_str(),
            grants: self.identity.as_ref().map(|identity| &*identity.grants),
        };
        self.verdicts.of(&channel.rules, room, asker).allows(verb)
    }

    /// `connect` shows a token. One that the handshake has brought already stays the same user's.
    pub(super) fn show(
        &mut self,
        id: &Option<RequestId>,
        token: &str,
        around: &Surroundings<'_>,
    ) -> Result<(), Outcome> {
        if let Some(wait) = around.token_wait {
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            return Err(self.rate_limited(id.clone(), wait_ms.max(1), around));
        }
        match around.tokens.verify(token, around.channel.tokens.as_ref()) {
            Ok(identity) if self.is_another(&identity) => {
                Err(self.refuse_other(id.clone(), around))
            }
            Ok(identity) => {
                self.take_identity(Box::new(identity));
                Ok(())
            }
            Err(error) => Err(self.refuse_token(id.clone(), error, around)),
        }
    }

    /// `refresh` shows a newer one.
    pub(super) fn refresh(
        &mut self,
        id: Option<RequestId>,
        token: &str,
        around: &Surroundings<'_>,
    ) -> Outcome {
        if self.identity.is_none() {
            // An anonymous session has rooms under another name: it becomes nobody else.
            return self.refuse(id, ErrorCode::Unauthenticated, around);
        }
        match self.show(&id, token, around) {
            Ok(()) => Outcome::Refreshed(id),
            Err(refused) => refused,
        }
    }

    fn is_another(&self, identity: &Identity) -> bool {
        self.identity
            .as_ref()
            .is_some_and(|known| known.user != identity.user)
    }

    fn take_identity(&mut self, identity: Box<Identity>) {
        self.member.user = Some(identity.user.clone());
        self.publisher = None; // the rules may have been asked about the anonymous one already
        self.verdicts.forget();
        self.identity = Some(identity);
    }

    fn refuse_other(&mut self, id: Option<RequestId>, around: &Surroundings<'_>) -> Outcome {
        let message = "the token is of another user: connect anew to change it";
        self.fault(
            Refusal {
                message: Cow::Borrowed(message),
                ..Refusal::new(id, ErrorCode::InvalidToken)
            },
            around,
        )
    }

    fn refuse_token(
        &mut self,
        id: Option<RequestId>,
        error: TokenError,
        around: &Surroundings<'_>,
    ) -> Outcome {
        let code = error.code();
        let mut refusal = Refusal {
            message: Cow::Owned(format!("the token is not accepted: {error}")),
            ..Refusal::new(id, code)
        };
        if code.blames_client() {
            return self.fault(refusal, around);
        }
        refusal.message = Cow::Borrowed(code.advice());
        refusal.retry_after_ms = Some(1000);
        Outcome::Refused(refusal)
    }
}
