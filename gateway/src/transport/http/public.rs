//! What all connections of the public port share.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use http::Response;
use http::header::{HeaderMap, HeaderName};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::admission::Admission;
use super::caller::PassedOn;
use super::console;
use super::entrance::{Entrance, Entrances};
use super::metrics::{HttpMetrics, Reason};
use super::policy::Policy;
use super::refusal::Refusal;
use super::slots::{self, Slot, Slots};
use crate::auth::Tokens;
use crate::broker::nats::relay::Relay;
use crate::config::Channel;
use crate::drain::Lifecycle;
use crate::traces;
use crate::transport::address::addresses::Addresses;
use crate::transport::address::client::Client;
use crate::transport::address::forwarded;
use crate::transport::address::network::is_private;
use crate::transport::polling::Sessions;
use crate::transport::shard::accepting::Door;
use crate::transport::shard::handle::{NewConnection, Opening, Shards};
use crate::transport::shard::wire::Wire;
use crate::transport::sse::Publishers;
use crate::transport::{Role, Transport};

/// Where sockets go that became WebSockets: the shards, or a stand-in in tests.
pub trait Home: Send + Sync + 'static {
    /// How many are there.
    fn connections(&self) -> usize;

    /// Takes one more, which HTTP has upgraded.
    fn adopt(&self, connection: NewConnection);

    /// Opens a connection that has no socket there, if it can.
    fn plug(&self, opening: Opening, transport: Transport, role: Role) -> Option<Wire>;

    /// Accepts newcomers from now on; to pass them on unheard is allowed.
    fn listen(&self, door: Arc<dyn Door>);

    /// Goes on to accept where the door was full.
    fn resume(&self);
}

impl Home for Shards {
    fn connections(&self) -> usize {
        Shards::connections(self)
    }

    fn adopt(&self, connection: NewConnection) {
        Shards::adopt(self, connection);
    }

    fn plug(&self, opening: Opening, transport: Transport, role: Role) -> Option<Wire> {
        Shards::plug(self, opening, transport, role)
    }

    fn listen(&self, door: Arc<dyn Door>) {
        Shards::listen(self, &door);
    }

    fn resume(&self) {
        Shards::resume(self);
    }
}

/// The public port of a gateway.
pub struct Public {
    /// The paths of handshakes.
    entrances: Entrances,
    /// The path of events.
    pub(super) events_path: String,
    /// Who publishes there.
    pub(in crate::transport) publishers: Publishers,
    /// Who is reached by long-polling.
    pub(in crate::transport) sessions: Arc<Sessions>,
    /// Everything else.
    pub(super) router: Router,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) admission: Admission,
    pub(super) slots: Slots,
    /// What each client address uses and did.
    pub(super) addresses: Arc<Addresses>,
    /// Sockets of each address that are not WebSockets yet.
    waiting: Arc<Addresses>,
    pub(in crate::transport) home: Arc<dyn Home>,
    pub(super) tokens: Arc<Tokens>,
    live: Arc<ArcSwap<Policy>>,
    metrics: Arc<HttpMetrics>,
    /// Sockets that shards gave back for HTTP proper; bounded by the slots that they hold.
    passed_on: UnboundedSender<PassedOn>,
    to_serve: Mutex<Option<UnboundedReceiver<PassedOn>>>,
}

impl Public {
    /// A port that serves `channel` and gives WebSockets to `home`, in a process that may open
    /// `file_limit` files.
    ///
    /// The channel's path and name hold for good; everything else follows [`Self::configure`].
    pub fn new(
        channel: Arc<Channel>,
        tokens: Arc<Tokens>,
        home: Arc<dyn Home>,
        lifecycle: Arc<Lifecycle>,
        file_limit: usize,
    ) -> Self {
        let (path, name) = (channel.path.clone(), channel.name.clone());
        let live = Arc::new(ArcSwap::from_pointee(Policy::compile(channel)));
        let (passed_on, to_serve) = unbounded_channel();
        Self {
            entrances: Entrances::below(&path),
            events_path: format!("{path}sse"),
            publishers: Publishers::default(),
            sessions: Arc::default(),
            router: console::router(&path, &name, Arc::clone(&live)),
            lifecycle,
            admission: Admission::new(file_limit),
            slots: Slots::new(file_limit),
            addresses: Arc::default(),
            waiting: Arc::default(),
            home,
            tokens,
            live,
            metrics: Arc::default(),
            passed_on,
            to_serve: Mutex::new(Some(to_serve)),
        }
    }

    /// Serves by `channel` from the next request on.
    pub fn configure(&self, channel: Arc<Channel>) {
        self.live.store(Arc::new(Policy::compile(channel)));
    }

    /// Passes on what clients ask whose sessions by long-polling live on other gateways. To be called before anybody comes,
    /// and on a runtime.
    pub fn relay(&self, relay: Relay) {
        self.sessions.connect(relay);
    }

    /// Whether the gateway is going away.
    pub(in crate::transport) fn is_draining(&self) -> bool {
        self.lifecycle.is_draining()
    }

    /// Connections that are WebSockets, or about to be.
    #[must_use]
    pub fn connections(&self) -> usize {
        // In this order: one that moves from the first to the second meanwhile is counted twice,
        // the other way around it might be missed.
        self.admission.underway() + self.home.connections()
    }

    /// Whether a path takes handshakes, and which.
    pub(super) fn entrance(&self, path: &str) -> Option<Entrance> {
        self.entrances.at(path, self.policy().channel.socket_io)
    }

    /// Hands a socket to HTTP proper.
    pub(super) fn pass_on(&self, socket: PassedOn) {
        let _ = self.passed_on.send(socket); // nobody serves any more: it closes
    }

    /// Sockets for HTTP proper. Only the first caller gets any.
    pub(super) fn passed_on(&self) -> UnboundedReceiver<PassedOn> {
        let mut to_serve = self.to_serve.lock().unwrap_or_else(PoisonError::into_inner);
        to_serve.take().unwrap_or_else(|| unbounded_channel().1)
    }

    /// What the port counts.
    #[must_use]
    pub fn metrics(&self) -> &Arc<HttpMetrics> {
        &self.metrics
    }

    /// The configuration in force, to keep for one request.
    pub(in crate::transport) fn policy_of_now(&self) -> Arc<Policy> {
        self.live.load_full()
    }

    /// The configuration in force.
    pub(in crate::transport) fn policy(&self) -> arc_swap::Guard<Arc<Policy>> {
        self.live.load()
    }

    /// Who `peer`, a socket's other end, speaks for in a request with these headers. Who names others and is not trusted
    /// speaks for itself; from a private network it is, most likely, a proxy that was forgotten.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
        let policy = self.policy();
        if !policy.trusted.contain(peer) {
            let unlisted_proxy = headers.contains_key(X_FORWARDED_FOR) && is_private(peer);
            if unlisted_proxy {
                policy.tell_of_proxy(peer);
            }
            return Client {
                address: peer,
                unlisted_proxy,
            };
        }
        let values = headers.get_all(X_FORWARDED_FOR).iter();
        let values: Vec<&str> = values.map(|value| value.to_str().unwrap_or("")).collect();
        forwarded::client(peer, values.into_iter(), &policy.trusted).into()
    }

    /// Gives a socket that was just accepted its slot, unless too many of its address wait to be heard already: one
    /// address must not take the slots of all others. A trusted proxy speaks for many.
    pub(super) fn wait(&self, slot: Slot, peer: IpAddr) -> Option<Slot> {
        if self.policy().trusted.contain(peer) {
            return Some(slot);
        }
        match self.waiting.sit(peer, slots::OF_ONE_ADDRESS) {
            Some(seat) => Some(slot.taken_by(seat)),
            None => {
                self.give_up(SocketAddr::new(peer, 0), Reason::AddressWaiting);
                None
            }
        }
    }

    /// Counts a refusal, logs it now and then, and gives its answer.
    pub(super) fn refuse(&self, client: IpAddr, refusal: Refusal) -> Response<Body> {
        self.tell_of(client, Transport::WebSocket, &refusal);
        refusal.into_response()
    }

    /// Counts a refusal, and logs it now and then.
    pub(in crate::transport) fn tell_of(
        &self,
        client: IpAddr,
        transport: Transport,
        refusal: &Refusal,
    ) {
        let trace = traces::handshake_refused(
            self.policy().channel.telemetry,
            client,
            transport,
            refusal.word(),
            refusal.status().as_u16(),
        );
        if let Some(count) = self.metrics.refuse(refusal.reason, Instant::now()) {
            tracing::info!(
                reason = refusal.reason.as_str(),
                status = refusal.status().as_u16(),
                %client,
                trace_id = trace.map(|trace| trace.trace_id()),
                count,
                "handshake refused: {}",
                refusal.body()
            );
        }
    }

    /// Counts and now and then logs a connection that broke off before it was answered.
    pub(super) fn give_up(&self, peer: SocketAddr, reason: Reason) {
        if let Some(count) = self.metrics.refuse(reason, Instant::now()) {
            let reason = reason.as_str();
            tracing::info!(reason, %peer, count, "connection ended before a request was answered");
        }
    }
}

impl std::fmt::Debug for Public {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Public");
        out.field("entrances", &self.entrances)
            .finish_non_exhaustive()
    }
}
