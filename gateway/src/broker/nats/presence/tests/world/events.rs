//! What happens by itself: messages arrive, leases end, gateways look what is due.

use super::*;

impl World {
    pub(super) fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.events.insert((at, self.scheduled), event);
    }

    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Reconnect(node) => self.reconnect(node),
            Event::Arrival(node, session, arrival) => {
                if self.nodes[node].session == session {
                    self.arrive(node, arrival);
                }
            }
            Event::Renewal(node, session, of) => {
                if self.nats && self.jetstream && self.nodes[node].session == session {
                    self.renewed(node, of);
                } else {
                    let failed = Event::Arrival(node, session, Arrival::Failed);
                    self.schedule(self.now + 2000, failed);
                }
            }
        }
    }

    pub(super) fn arrive(&mut self, node: usize, arrival: Arrival) {
        let now = self.time();
        let one = &mut self.nodes[node];
        if one.ended.is_some() {
            return;
        }
        if one.paused {
            one.backlog.push(arrival);
            return;
        }
        match arrival {
            Arrival::Bytes(bytes) => one.state.receive(&bytes, now),
            Arrival::Seen(of) => one.state.lease_seen(of, now),
            Arrival::Gone(of) => one.state.lease_gone(of, now),
            Arrival::Read(all) => one.state.leases_read(&all, now),
            Arrival::Lost(of) => one.state.lease_lost(of, now),
            Arrival::Failed => one.state.renewal_failed(now),
            Arrival::Connected(connected) => one.state.connected(connected, now),
        }
        self.tick(node);
    }

    pub(super) fn tick(&mut self, node: usize) {
        let now = self.time();
        self.nodes[node].state.tick(now);
        self.nodes[node].wake_at = self.nodes[node].state.wake_at(now);
        self.effects(node);
    }

    pub(super) fn effects(&mut self, node: usize) {
        while let Some(effect) = self.nodes[node].state.effect() {
            let connected = self.nodes[node].connected;
            match effect {
                Effect::Tell(news) => self.tell(node, news),
                _ if !connected => {}
                Effect::Broadcast(bytes) => {
                    self.nodes[node].sent.push(bytes.clone());
                    for to in self.up() {
                        self.send(to, &bytes); // to the sender too
                    }
                }
                Effect::Send { to, bytes } => {
                    self.nodes[node].sent.push(bytes.clone());
                    let to = self.nodes.iter().position(|node| node.process == to);
                    self.send(to.unwrap(), &bytes);
                }
                Effect::Renew(of) => {
                    let at = self.now + self.delay();
                    let session = self.nodes[node].session;
                    self.schedule(at, Event::Renewal(node, session, of));
                }
                Effect::Release(of) => {
                    if self.leases.remove(&of).is_some() {
                        self.announce(&Arrival::Gone(of));
                    }
                }
            }
        }
    }

    fn delay(&mut self) -> u64 {
        self.rng.random_range(1..=self.network.max_delay)
    }

    pub(super) fn send(&mut self, to: usize, bytes: &Bytes) {
        if !self.nodes[to].connected || self.rng.random_bool(self.network.loss) {
            return;
        }
        let copies = 1 + u8::from(self.rng.random_bool(self.network.duplicates));
        for _ in 0..copies {
            let at = self.now + self.delay();
            let session = self.nodes[to].session;
            let arrival = Arrival::Bytes(bytes.clone());
            self.schedule(at, Event::Arrival(to, session, arrival));
        }
    }

    /// The server takes a renewal.
    fn renewed(&mut self, node: usize, of: Incarnation) {
        let until = self.now + self.config.lease.as_millis() as u64;
        let held = self.leases.contains_key(&of);
        let unsure = std::mem::take(&mut self.nodes[node].unsure);
        if !held && self.known.contains(&of) || held && unsure {
            self.watched(node, Arrival::Lost(of));
            return;
        }
        self.known.insert(of);
        self.leases.insert(of, until);
        self.nodes[node].unsure = self.rng.random_bool(self.network.lost_answers);
        self.announce(&Arrival::Seen(of));
        if !std::mem::replace(&mut self.nodes[node].watching, true) {
            let all = self.leases.keys().copied().collect();
            self.watched(node, Arrival::Read(all));
        }
    }

    pub(super) fn expire(&mut self) {
        if !self.nats || !self.jetstream {
            return;
        }
        let now = self.now;
        let ended: Vec<Incarnation> = self
            .leases
            .extract_if(.., |_, until| *until <= now)
            .map(|(of, _)| of)
            .collect();
        for of in ended {
            self.announce(&Arrival::Gone(of));
        }
    }

    pub(super) fn announce(&mut self, arrival: &Arrival) {
        for node in self.up() {
            if self.nodes[node].watching {
                self.watched(node, arrival.clone());
            }
        }
    }

    /// In the order of the stream.
    fn watched(&mut self, node: usize, arrival: Arrival) {
        let at = (self.now + self.delay()).max(self.nodes[node].watch_busy);
        self.nodes[node].watch_busy = at;
        let session = self.nodes[node].session;
        self.schedule(at, Event::Arrival(node, session, arrival));
    }

    fn tell(&mut self, node: usize, news: News) {
        let ended = match &news {
            News::Left { connection, .. } => {
                let owns = |node: &&Node| node.own.keys().any(|(_, one)| one == connection);
                let owner = self.nodes.iter().find(owns);
                owner.and_then(|owner| owner.ended)
            }
            News::Joined { .. } | News::Watching(_) => None,
        };
        self.nodes[node].take(self.now, ended, news);
    }
}
