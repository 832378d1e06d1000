//! `PublishStream`: many messages, and at the end what came of them.
//!
//! Messages that have come together go to the hub in one turn. Some of those turns may be under way, and while they are
//! too many nothing is read: so a caller that is faster than the broker is held up by its own socket.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::FutureExt;
use http::HeaderMap;
use linnet_proto::v1::{Failure, PublishRequest, PublishStreamResponse};
use tokio::time::{Instant, sleep};

use super::super::Api;
use super::super::call::Call;
use super::super::desk::{Asked, DEADLINE, Failure as Unasked};
use super::super::problem::Problem;
use super::super::publish::{message, outcome};
use super::Grpc;
use super::request::{Deadline, Messages, until};
use super::response::{answered, refused};
use super::status::with_summary;
use crate::auth::api_keys::Scope;
use crate::drain::{Lifecycle, Phase};
use crate::hub::CommandKind;
use crate::names::RoomName;
use crate::protocol::ErrorCode;
use crate::protocol::protobuf::decode;

/// Messages of one turn of the hub.
const TURN: usize = 64;
/// Bytes of one turn, about.
const TURN_BYTES: usize = 64 * 1024;
/// Messages under way, about.
const UNDER_WAY: usize = 1024;
/// Bytes under way, about.
const UNDER_WAY_BYTES: usize = 1024 * 1024;
/// Failures that are told one by one.
const TOLD: usize = 100;
/// How long it is not looked whether the caller may publish.
const ADMITTED: Duration = Duration::from_secs(1);
/// How soon the hub is asked again where it is full.
const AGAIN: Duration = Duration::from_millis(5);

pub(super) async fn publish_stream(State(grpc): State<Grpc>, request: Request) -> Response {
    let Grpc { api, lifecycle, .. } = grpc;
    let (parts, body) = request.into_parts();
    let begun = || {
        let deadline = Deadline::of(&parts.headers)?;
        let call = Call::admit(&api, Scope::Publish, &parts.headers)?;
        let messages = Messages::of(&api, &call.channel.limits, &parts.headers, body)?;
        Ok((deadline, call, messages))
    };
    let (deadline, call, messages) = match begun() {
        Ok(begun) => begun,
        Err(problem) => {
            api.metrics().count(&Err(&problem));
            return refused(problem);
        }
    };
    let _open = api.open_stream();
    let mut stream = Stream {
        api: &api,
        headers: &parts.headers,
        call,
        admitted: Instant::now(),
        messages,
        under_way: UnderWay::default(),
    };
    let ended = stream.run(deadline, &lifecycle).await;
    let mut summary = stream.under_way.summary;
    summary.failures.sort_by_key(|failure| failure.index);
    api.metrics().count(&ended.as_ref().map(|()| false));
    match ended {
        Ok(()) => answered(&summary),
        Err(problem) => with_summary(problem, &summary).into_http(),
    }
}

struct Stream<'a> {
    api: &'a Api,
    headers: &'a HeaderMap,
    call: Call,
    /// When it was last looked whether the caller may publish.
    admitted: Instant,
    messages: Messages<PublishRequest>,
    under_way: UnderWay<'a>,
}

/// What the hub was asked and has not answered, and what it has.
#[derive(Default)]
struct UnderWay<'a> {
    /// In the order in which they were asked.
    turns: VecDeque<Turn<'a>>,
    messages: usize,
    bytes: usize,
    summary: PublishStreamResponse,
}

/// Messages that the hub was asked to publish in one turn.
struct Turn<'a> {
    /// Their places in the stream, and their rooms.
    of: VecDeque<(u64, RoomName)>,
    answers: Asked<'a>,
    bytes: usize,
}

/// Messages that were read together.
#[derive(Default)]
struct Batch {
    messages: Vec<PublishRequest>,
    bytes: usize,
    /// Why nothing is read after them, and whether that is as it should be.
    end: Option<Result<(), Problem>>,
}

impl<'a> Stream<'a> {
    /// Publishes until the caller has said all, its time is over, the gateway goes away, or nothing can be read. What was
    /// read by then has its answer.
    async fn run(&mut self, deadline: Deadline, lifecycle: &Lifecycle) -> Result<(), Problem> {
        let end = loop {
            tokio::select! {
                biased;
                () = lifecycle.until(Phase::Draining) => break Err(ErrorCode::Draining.into()),
                () = until(deadline.at()) => break Err(Problem::deadline_exceeded()),
                () = self.under_way.settle() => {}
                batch = read(&mut self.messages), if !self.under_way.is_full() => {
                    let Batch { messages, bytes, end } = batch;
                    if let Err(problem) = self.admit() {
                        break Err(problem);
                    }
                    self.ask(messages, bytes).await;
                    if let Some(end) = end {
                        break end;
                    }
                }
            }
        };
        // Each answer is there within a bound.
        while !self.under_way.turns.is_empty() {
            self.under_way.settle().await;
        }
        end
    }

    /// Lets the caller in anew, now and then: keys go, tokens end, and the configuration changes.
    fn admit(&mut self) -> Result<(), Problem> {
        if self.admitted.elapsed() >= ADMITTED {
            self.call = Call::admit(self.api, Scope::Publish, self.headers)?;
            self.admitted = Instant::now();
        }
        Ok(())
    }

    /// Asks the hub to publish what can be published.
    async fn ask(&mut self, messages: Vec<PublishRequest>, bytes: usize) {
        let mut of = VecDeque::with_capacity(messages.len());
        let mut kinds = Vec::with_capacity(messages.len());
        for request in messages {
            let index = self.under_way.summary.received;
            self.under_way.summary.received += 1;
            // The call itself was the first.
            while index > 0
                && let Err(problem) = self.call.count(self.api, 1)
            {
                let wait = problem.retry_after_ms.unwrap_or(1);
                sleep(Duration::from_millis(wait.into())).await;
            }
            let kind = decode::publish(request).map_err(Problem::from);
            let kind = kind.and_then(|(room, content)| {
                let kind = message(&self.call, 0, room.clone(), content)?;
                Ok((room, kind))
            });
            match kind {
                Ok((room, kind)) => {
                    of.push_back((index, room));
                    kinds.push(kind);
                }
                Err(problem) => self.under_way.fail(index, problem),
            }
        }
        match self.put(kinds).await {
            Some(answers) => {
                self.under_way.messages += of.len();
                self.under_way.bytes += bytes;
                let turn = Turn { of, answers, bytes };
                self.under_way.turns.push_back(turn);
            }
            None => {
                for (index, _) in of {
                    let problem = Problem::unanswered(Unasked::Full);
                    self.under_way.fail(index, problem);
                }
            }
        }
    }

    /// Asks once the hub has room, if it has in time.
    async fn put(&self, mut kinds: Vec<CommandKind>) -> Option<Asked<'a>> {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.api.0.desk.put(kinds) {
                Ok(answers) => return Some(answers),
                Err(back) if Instant::now() < until => kinds = back,
                Err(_) => return None,
            }
            sleep(AGAIN).await;
        }
    }
}

impl UnderWay<'_> {
    fn is_full(&self) -> bool {
        self.messages >= UNDER_WAY || self.bytes >= UNDER_WAY_BYTES
    }

    /// Takes the next answer. Nothing is lost where this is given up while it waits; without anything under way it waits.
    async fn settle(&mut self) {
        let Some(turn) = self.turns.front_mut() else {
            return pending().await;
        };
        let answer = turn.answers.next().await;
        let Some((answer, (index, room))) = answer.zip(turn.of.pop_front()) else {
            self.bytes -= turn.bytes;
            self.turns.pop_front();
            return;
        };
        self.messages -= 1;
        match outcome(room, answer) {
            Ok(published) => {
                self.summary.published += 1;
                self.summary.duplicates += u64::from(published.duplicate);
            }
            Err(problem) => self.fail(index, problem),
        }
    }

    fn fail(&mut self, index: u64, problem: Problem) {
        self.summary.failed += 1;
        if self.summary.failures.len() < TOLD {
            let error = Some(problem.into());
            self.summary.failures.push(Failure { index, error });
        }
    }
}

/// Waits for one message, and takes those that are there already.
async fn read(messages: &mut Messages<PublishRequest>) -> Batch {
    let mut batch = Batch::default();
    let mut next = messages.next().await;
    loop {
        match next {
            Ok(Some(message)) => {
                batch.bytes += bytes(&message);
                batch.messages.push(message);
            }
            Ok(None) => batch.end = Some(Ok(())),
            Err(problem) => batch.end = Some(Err(problem)),
        }
        let full = batch.messages.len() >= TURN || batch.bytes >= TURN_BYTES;
        if full || batch.end.is_some() {
            return batch;
        }
        match messages.next().now_or_never() {
            Some(more) => next = more,
            None => return batch,
        }
    }
}

/// What a message has in bytes, about.
fn bytes(message: &PublishRequest) -> usize {
    use linnet_proto::v1::publish_request::Data;
    let data = match &message.data {
        Some(Data::Json(text)) => text.len(),
        Some(Data::Binary(bytes)) => bytes.len(),
        None => 0,
    };
    data + message.room.len()
}
