//! What goes wrong.

use super::*;

impl World {
    /// SIGKILL.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].ended = Some(self.now);
        self.nodes[node].connected = false;
    }

    /// The end of a drain.
    pub fn goodbye(&mut self, node: usize) {
        self.nodes[node].state.goodbye();
        self.effects(node);
        self.kill(node);
    }

    /// SIGSTOP.
    pub fn pause(&mut self, node: usize) {
        self.nodes[node].paused = true;
    }

    /// SIGCONT: all that has arrived comes at once.
    pub fn resume(&mut self, node: usize) {
        self.nodes[node].paused = false;
        for arrival in std::mem::take(&mut self.nodes[node].backlog) {
            self.arrive(node, arrival);
        }
        self.tick(node);
    }

    /// Cuts one gateway off.
    pub fn disconnect(&mut self, node: usize) {
        if std::mem::take(&mut self.nodes[node].connected) {
            self.nodes[node].session += 1;
            self.nodes[node].watching = false;
            self.arrive(node, Arrival::Connected(false));
        }
    }

    /// Its connection is made anew, if NATS is there.
    pub fn reconnect(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        if self.nats && !one.connected && one.ended.is_none() {
            one.connected = true;
            self.arrive(node, Arrival::Connected(true));
        }
    }

    /// NATS goes away for everybody.
    pub fn outage(&mut self) {
        self.nats = false;
        for node in self.up() {
            self.disconnect(node);
        }
    }

    /// And comes back: the gateways find it again within ten seconds.
    pub fn recover(&mut self) {
        self.nats = true;
        for node in self.up() {
            let at = self.now + self.rng.random_range(1..10_000);
            self.schedule(at, Event::Reconnect(node));
        }
    }

    /// Somebody deletes the bucket: watches break and are begun again.
    pub fn delete_bucket(&mut self) {
        self.leases.clear();
        for node in &mut self.nodes {
            node.watching = false;
        }
    }

    /// The server ends a gateway's lease although the gateway is well.
    pub fn end_lease(&mut self, node: usize) {
        let of = self.nodes[node].state.incarnation();
        if self.leases.remove(&of).is_some() {
            self.announce(&Arrival::Gone(of));
        }
    }

    /// Everything that a gateway ever sent comes once more, to everybody.
    pub fn repeat(&mut self, node: usize) {
        for bytes in self.nodes[node].sent.clone() {
            for to in self.up() {
                self.send(to, &bytes);
            }
        }
    }
}
