//! Calls in lines, one for each connection: the first of a line is under way, the others wait. So a connection's calls are
//! made in order, a slow one holds up nobody else, and what waits is bounded.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

use super::answer::{self, Answer};
use super::call::{Call, Kind, Names};
use super::error::{CallError, Failure};
use super::http::Http;
use super::metrics::{Event, HandlerMetrics, Outcome};
use super::secret::SigningSecret;
use super::{nats, sign};
use crate::config::handler::{Handler, Target};
use crate::hub::Address;
use crate::logging::pace::SharedPace;
use crate::message::unix_milliseconds;
use crate::names::ConnectionId;
use crate::protocol::RequestId;

/// Calls that are under way at once. A back end that takes 100 ms for each answers 2,560 a second.
const IN_FLIGHT: usize = 256;
/// Calls of one connection that wait; who asks faster than he is answered is told so.
const LONGEST_LINE: usize = 64;
/// Bytes of all calls that wait or are under way.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// How the gateway reaches its channel's handler.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    names: Names,
    runtime: runtime::Handle,
    signing: SigningSecret,
    http: OnceLock<Http>,
    nats: OnceLock<async_nats::Client>,
    outlet: OnceLock<Outlet>,
    lines: Mutex<Lines>,
    slots: Semaphore,
    idle: Notify,
    metrics: Arc<HandlerMetrics>,
}

/// Takes what came of calls to where the connections live.
type Outlet = Box<dyn Fn(Handled) + Send + Sync>;

#[derive(Default)]
struct Lines {
    of: HashMap<ConnectionId, VecDeque<Job>>,
    bytes: usize,
}

/// A call, and what the configuration said of it when it was asked for.
struct Job {
    call: Call,
    handler: Arc<Handler>,
    message_size: usize,
}

/// What came of a call.
#[derive(Debug)]
pub struct Handled {
    /// Whose.
    pub to: Address,
    /// Of which.
    pub of: Of,
    /// The answer, or why there is none.
    pub outcome: Result<Answer, Failure>,
}

/// Which call it was, as far as there is anybody to tell.
#[derive(Debug)]
pub enum Of {
    /// Whether it may connect.
    Connect,
    /// A request with that id.
    Request(Option<RequestId>),
}

/// Too much waits: the call is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Handled {
    /// Bytes that wait with it.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.outcome.as_ref().map_or(256, Answer::weight)
    }
}

impl Handle {
    /// Calls are made on `runtime`, which has one thread. Secrets lie below `secrets`.
    #[must_use]
    pub fn new(names: Names, secrets: Option<PathBuf>, runtime: runtime::Handle) -> Self {
        Self(Arc::new(Shared {
            names,
            runtime,
            signing: SigningSecret::new(secrets),
            http: OnceLock::new(),
            nats: OnceLock::new(),
            outlet: OnceLock::new(),
            lines: Mutex::default(),
            slots: Semaphore::new(IN_FLIGHT),
            idle: Notify::new(),
            metrics: Arc::default(),
        }))
    }

    /// Takes answers there from now on; only the first one counts.
    pub fn answer_to(&self, outlet: impl Fn(Handled) + Send + Sync + 'static) {
        let _ = self.0.outlet.set(Box::new(outlet)); // a gateway has one
    }

    /// Asks over this connection where the handler is behind a subject.
    pub fn use_nats(&self, client: async_nats::Client) {
        let _ = self.0.nats.set(client); // a gateway has one
    }

    /// Follows the Secret that a new configuration names.
    pub fn configure(&self, handler: Option<&Handler>) {
        let secret = handler.and_then(|handler| handler.signing_secret.as_deref());
        self.0.signing.configure(secret);
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<HandlerMetrics> {
        &self.0.metrics
    }

    /// Puts a call into its connection's line.
    ///
    /// # Errors
    /// When too much waits.
    pub fn ask(&self, call: Call, handler: &Arc<Handler>, message_size: usize) -> Result<(), Full> {
        let (connection, event, weight) = (call.member.connection, call.event(), call.weight());
        let mut lines = self.0.lines();
        let line = lines.of.get(&connection).map(VecDeque::len);
        // That somebody has left must be told even where he has asked too much.
        let long = event != Event::Disconnect && line.is_some_and(|line| line >= LONGEST_LINE);
        if long || lines.bytes + weight > MOST_BYTES {
            drop(lines);
            self.0.metrics.count(event, Outcome::Overloaded);
            call.span.ended(event.as_str(), Err("overloaded"));
            return Err(Full);
        }
        lines.bytes += weight;
        lines.of.entry(connection).or_default().push_back(Job {
            call,
            handler: Arc::clone(handler),
            message_size,
        });
        drop(lines);
        if line.is_none() {
            let shared = Arc::clone(&self.0);
            self.0.runtime.spawn(shared.work_off(connection));
        }
        Ok(())
    }

    /// Awaits that nothing is under way and nothing waits.
    pub async fn idle(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.0.lines().of.is_empty() {
                return;
            }
            idle.await;
        }
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the calls of one connection until its line is empty.
    async fn work_off(self: Arc<Self>, connection: ConnectionId) {
        loop {
            let job = {
                let mut lines = self.lines();
                let job = lines.of.get_mut(&connection).and_then(VecDeque::pop_front);
                if job.is_none() {
                    lines.of.remove(&connection);
                    if lines.of.is_empty() {
                        self.idle.notify_waiters();
                    }
                }
                job
            };
            let Some(job) = job else { return };
            let weight = job.call.weight();
            let handled = self.make(job).await;
            self.lines().bytes -= weight;
            if let (Some(handled), Some(outlet)) = (handled, self.outlet.get()) {
                outlet(handled);
            }
        }
    }

    /// Makes a call when it is its turn; gives what is to be told.
    async fn make(&self, job: Job) -> Option<Handled> {
        let within = job.handler.timeout;
        let turn = timeout(within, self.slots.acquire()).await;
        let begun = Instant::now();
        let answer = match turn {
            Err(_) => Err(CallError::Busy(IN_FLIGHT, within)),
            Ok(_turn) => {
                self.metrics.in_flight.add(1);
                let answer = timeout(within, self.converse(&job)).await;
                self.metrics.in_flight.subtract(1);
                self.metrics.duration.observe(begun.elapsed(), 1);
                answer.unwrap_or(Err(CallError::Slow(within)))
            }
        };
        self.tell(job, answer, begun.elapsed())
    }

    async fn converse(&self, job: &Job) -> Result<Answer, CallError> {
        let id = format!("{:032x}", rand::random::<u128>());
        let now_ms = unix_milliseconds();
        let event = job.call.encode(&id, &self.names, now_ms)?;
        let timestamp = now_ms / 1000;
        let mut headers = vec![
            (sign::ID, id.clone()),
            (sign::TIMESTAMP, timestamp.to_string()),
        ];
        if job.handler.signing_secret.is_some() {
            let keys = self.signing.keys();
            if keys.is_empty() {
                return Err(CallError::NoKey);
            }
            headers.push((sign::SIGNATURE, keys.sign(&id, timestamp, &event)));
        }
        if let Some(context) = job.call.span.passed() {
            headers.push(("traceparent", context.to_string()));
        }
        let most = answer::most_bytes(job.message_size);
        let body = match &job.handler.target {
            Target::Http(url) => {
                let http = self.http()?;
                http.post(url, &headers, event.into(), most).await?
            }
            Target::Nats(subject) => {
                let client = self.nats.get().ok_or(CallError::NoBroker)?;
                let (subject, within) = (subject.clone(), job.handler.timeout);
                nats::ask(client, subject, &headers, event.into(), within, most).await?
            }
        };
        match job.call.kind {
            Kind::Disconnect { .. } => Ok(Answer::default()), // there is nobody to do anything with it
            _ => Ok(Answer::parse(&body, job.message_size)?),
        }
    }

    /// The client, made when it is first needed: few channels have a handler.
    fn http(&self) -> Result<&Http, CallError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = Http::new()?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Counts, logs and traces what came of a call.
    fn tell(&self, job: Job, answer: Result<Answer, CallError>, took: Duration) -> Option<Handled> {
        let Job { call, .. } = job;
        let event = call.event();
        let outcome = match &answer {
            Ok(answer) if answer.reject.is_some() => Outcome::Rejected,
            Ok(_) => Outcome::Answered,
            Err(error) => error.failure().outcome(),
        };
        self.metrics.count(event, outcome);
        if let Err(error) = &answer {
            static LINES: SharedPace = SharedPace::new();
            if let Some(count) = LINES.due() {
                let (event, took_ms) = (event.as_str(), took.as_millis() as u64);
                let connection_id = call.member.connection;
                let trace_id = call.span.trace_id();
                tracing::warn!(%connection_id, trace_id, event, took_ms, count, "the handler fails: {error}");
            }
        }
        let failed = match outcome {
            Outcome::Answered | Outcome::Rejected => Ok(outcome.as_str()),
            Outcome::Failed | Outcome::Timeout | Outcome::Overloaded => Err(outcome.as_str()),
        };
        call.span.ended(event.as_str(), failed);
        let of = match call.kind {
            Kind::Connect { .. } => Of::Connect,
            Kind::Request { id, .. } => Of::Request(id),
            Kind::Disconnect { .. } => return None,
        };
        Some(Handled {
            to: call.to,
            of,
            outcome: answer.map_err(|error| error.failure()),
        })
    }
}
