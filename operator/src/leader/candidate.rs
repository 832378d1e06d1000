//! What one candidate knows and concludes. It asks no clock but the monotonic one of its own process, and never reads a
//! time that another one wrote: clocks of two machines may differ by any amount.
//!
//! Why two never lead at once: who renews at `t` (its clock, taken before the request is sent) stops acting at
//! `t + hold`. Another one takes the Lease over only after it has seen it unchanged for `term`, which it counts from
//! when it first saw that writing, so from later than `t`. `hold` is shorter than `term`.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

use super::record::{Record, first, held, released};

/// How long things take. The defaults are those of Kubernetes' own controllers.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// For how long a Lease that is not renewed is its holder's.
    pub term: Duration,
    /// For how long after a renewal its holder acts. Shorter than `term` by the time that a write may be under way.
    pub hold: Duration,
    /// Between two tries.
    pub pause: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            term: Duration::from_secs(15),
            hold: Duration::from_secs(10),
            pause: Duration::from_secs(2),
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Read the Lease: what is known may be old.
    Read,
    /// Make it.
    Create(Box<Lease>),
    /// Write it over the one that was read.
    Replace(Box<Lease>),
    /// Another one holds it.
    Wait,
}

/// How to give the Lease back.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Release {
    /// Read it first: it may be held or not.
    Read,
    /// Write this.
    Write(Box<Lease>),
    /// It is not held.
    Done,
}

/// What is known of the Lease.
#[derive(Debug)]
enum Known {
    /// Nothing that can be built on.
    Nothing,
    /// It is not there.
    Absent,
    /// It was read or written.
    Present {
        lease: Box<Lease>,
        record: Record,
        /// When this writing was seen first.
        since: Instant,
    },
}

/// One candidate.
#[derive(Debug)]
pub(super) struct Candidate {
    me: String,
    name: String,
    namespace: String,
    terms: Terms,
    known: Known,
    /// Which writing was seen last and when it was seen first, also while it has to be read again.
    seen: Option<(String, Instant)>,
    /// Until when it acts.
    until: Option<Instant>,
}

impl Candidate {
    /// The candidate `me`, a name that no other process has, for the Lease `name`.
    pub fn new(me: String, name: String, namespace: String, terms: Terms) -> Self {
        Self {
            me,
            name,
            namespace,
            terms,
            known: Known::Nothing,
            seen: None,
            until: None,
        }
    }

    /// Until when it acts; `None` where it does not lead.
    pub fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Who holds the Lease, if anybody; `None` where that is not known now.
    pub fn holder(&self) -> Option<Option<&str>> {
        match &self.known {
            Known::Nothing => None,
            Known::Absent => Some(None),
            Known::Present { record, .. } => Some(record.holder.as_deref()),
        }
    }

    /// What to do now.
    pub fn step(&self, now: Instant) -> Step {
        let (me, term) = (&self.me, self.terms.term);
        match &self.known {
            Known::Nothing => Step::Read,
            Known::Absent => Step::Create(Box::new(first(&self.name, &self.namespace, me, term))),
            Known::Present {
                lease,
                record,
                since,
            } => {
                let theirs = record.holder.as_ref().filter(|holder| *holder != me);
                let over = now.duration_since(*since) >= record.term.max(term);
                match theirs {
                    Some(_) if !over => Step::Wait,
                    _ => Step::Replace(Box::new(held((**lease).clone(), me, term))),
                }
            }
        }
    }

    /// The Lease was read.
    pub fn read(&mut self, lease: Option<Lease>, now: Instant) {
        match lease {
            None => {
                self.known = Known::Absent;
                self.until = None;
            }
            Some(lease) => {
                let record = Record::of(&lease);
                if record.holder.as_ref() != Some(&self.me) {
                    self.until = None;
                }
                self.present(lease, record, now);
            }
        }
    }

    /// A writing that was sent at `sent` is there.
    pub fn wrote(&mut self, lease: Lease, sent: Instant, now: Instant) {
        let record = Record::of(&lease);
        let mine = record.holder.as_ref() == Some(&self.me);
        self.until = mine.then_some(sent + self.terms.hold);
        self.present(lease, record, now);
    }

    /// What is known may be old: somebody else wrote, or it is not known whether a writing got through.
    pub fn forget(&mut self) {
        self.known = Known::Nothing;
    }

    /// Stops leading; says what is to be written so that another one need not wait.
    pub fn release(&mut self) -> Release {
        self.until = None;
        match &self.known {
            Known::Nothing => Release::Read,
            Known::Present { lease, record, .. } if record.holder.as_ref() == Some(&self.me) => {
                Release::Write(Box::new(released((**lease).clone())))
            }
            _ => Release::Done,
        }
    }

    fn present(&mut self, lease: Lease, record: Record, now: Instant) {
        let since = match &self.seen {
            Some((version, since)) if *version == record.version => *since,
            _ => now,
        };
        self.seen = Some((record.version.clone(), since));
        self.known = Known::Present {
            lease: Box::new(lease),
            record,
            since,
        };
    }
}
