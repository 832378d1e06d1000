//! What a session may do in a second, and how many refusals it may cause before it must close.

use std::borrow::Cow;

use super::{Outcome, Session, Surroundings};
use crate::config::Limits;
use crate::protocol::{ErrorCode, Refusal, RequestId};

/// What becomes of a frame that carries nothing: a ping, a pong, an empty fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyFrame {
    /// A ping is answered.
    Fine,
    /// Over the rate: it is passed over, as RFC 6455 §5.5.3 allows for pings before the latest.
    TooMany,
    /// Patience is worn out: the connection must close.
    Flood,
}

impl Session {
    /// Counts a frame that carries nothing. They cost no more than questions do, and are counted with them.
    pub fn empty_frame(&mut self, around: &Surroundings<'_>) -> EmptyFrame {
        match self.count_question(&None, around) {
            Ok(()) => EmptyFrame::Fine,
            Err(Outcome::WornOut(_)) => EmptyFrame::Flood,
            Err(_) => EmptyFrame::TooMany,
        }
    }

    /// Counts a frame's bytes. The refusal stands for the whole frame.
    pub fn receive(
        &mut self,
        bytes: usize,
        id: Option<&RequestId>,
        around: &Surroundings<'_>,
    ) -> Result<(), Outcome> {
        let Some(rate) = around.channel.limits.bytes_per_second else {
            return Ok(());
        };
        let burst = byte_burst(&around.channel.limits);
        match self
            .bytes
            .take(bytes as f64, rate as f64, burst, around.now_ms)
        {
            Ok(()) => Ok(()),
            Err(wait) => Err(self.rate_limited(id.cloned(), wait, around)),
        }
    }

    /// Counts a faulty frame, and gives what to answer.
    pub fn fault(&mut self, refusal: Refusal, around: &Surroundings<'_>) -> Outcome {
        match self.charge_fault(around) {
            true => Outcome::Refused(refusal),
            false => Outcome::WornOut(refusal.code),
        }
    }

    pub(super) fn count_message(
        &mut self,
        id: &Option<RequestId>,
        around: &Surroundings<'_>,
    ) -> Result<(), Outcome> {
        let limits = &around.channel.limits;
        let (rate, burst) = (
            f64::from(limits.messages_per_second),
            f64::from(limits.message_burst),
        );
        let taken = self.messages.take(1.0, rate, burst, around.now_ms);
        taken.map_err(|wait| self.rate_limited(id.clone(), wait, around))
    }

    pub(super) fn count_question(
        &mut self,
        id: &Option<RequestId>,
        around: &Surroundings<'_>,
    ) -> Result<(), Outcome> {
        let rate = around.channel.limits.questions_per_second() as f64;
        let taken = self.questions.take(1.0, rate, rate, around.now_ms);
        taken.map_err(|wait| self.rate_limited(id.clone(), wait, around))
    }

    pub(super) fn rate_limited(
        &mut self,
        id: Option<RequestId>,
        wait_ms: u64,
        around: &Surroundings<'_>,
    ) -> Outcome {
        let refusal = Refusal {
            retry_after_ms: Some(wait_ms),
            ..Refusal::new(id, ErrorCode::RateLimited)
        };
        self.fault(refusal, around)
    }

    /// Refuses a request, here or in the hub's name. It wears patience out unless the gateway is to blame.
    pub fn refuse(
        &mut self,
        id: Option<RequestId>,
        code: ErrorCode,
        around: &Surroundings<'_>,
    ) -> Outcome {
        let message = match code {
            ErrorCode::MessageTooLarge => {
                let limit = around.channel.limits.message_size;
                Cow::Owned(format!("the payload is over {limit} bytes: send less"))
            }
            _ => Cow::Borrowed(code.advice()),
        };
        let refusal = Refusal {
            id,
            code,
            message,
            retry_after_ms: None,
            pointer: None,
            reason: None,
        };
        match code.blames_client() {
            true => self.fault(refusal, around),
            false => Outcome::Refused(refusal),
        }
    }

    /// Whether there is patience left.
    fn charge_fault(&mut self, around: &Surroundings<'_>) -> bool {
        let limits = &around.channel.limits;
        let (rate, burst) = (
            f64::from(limits.messages_per_second),
            f64::from(limits.message_burst),
        );
        self.faults.take(1.0, rate, burst, around.now_ms).is_ok()
    }
}

/// One second's worth, and at least the largest frame.
pub(super) fn byte_burst(limits: &Limits) -> f64 {
    limits
        .bytes_per_second
        .map_or(0.0, |rate| (rate as f64).max(limits.frame_size() as f64))
}
