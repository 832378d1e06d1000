//! Asks the API server in turns, for as long as the process lives.

use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::core::Status;
use kube::{Api, Client};
use rand::RngExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::candidate::{Candidate, Release, Step, Terms};
use super::leadership::{Leadership, Told};

/// How long giving the Lease back may take when the process ends.
const RELEASE: Duration = Duration::from_secs(3);

/// Who stands for which Lease.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// Name of the Lease.
    pub lease: String,
    /// Its namespace.
    pub namespace: String,
    /// Name of the pod, for people; the process gets a name of its own from it.
    pub pod: String,
    /// How long things take.
    pub terms: Terms,
}

/// Stands for the Lease until `stop` is done, and then gives it back. Who acts as the leader has stopped by then: wait
/// for it in `stop`.
///
/// Gives what tells whether this process leads, and the work, which has to be polled for as long as the process lives.
pub fn campaign(
    client: Client,
    campaign: Campaign,
    stop: impl Future<Output = ()> + Send,
) -> (Leadership, impl Future<Output = ()> + Send) {
    let (told, leadership) = Leadership::new();
    // A pod's name alone would let its next container take itself for the one before.
    let me = format!("{}_{:08x}", campaign.pod, rand::rng().random::<u32>());
    let leases = Api::namespaced(client, &campaign.namespace);
    let mut runner = Runner {
        leases,
        candidate: Candidate::new(
            me,
            campaign.lease.clone(),
            campaign.namespace,
            campaign.terms,
        ),
        lease: campaign.lease,
        terms: campaign.terms,
        told,
        complaint: None,
    };
    let work = async move {
        tokio::select! {
            () = runner.run() => {}
            () = stop => {}
        }
        runner.release().await;
    };
    (leadership, work)
}

struct Runner {
    leases: Api<Lease>,
    lease: String,
    candidate: Candidate,
    terms: Terms,
    told: watch::Sender<Told>,
    /// What was logged last: a fault that lasts is told once.
    complaint: Option<String>,
}

impl Runner {
    async fn run(&mut self) {
        loop {
            self.try_once().await;
            self.tell();
            let pause = self.terms.pause.mul_f64(rand::rng().random_range(0.8..1.2));
            self.until_told(sleep(pause)).await;
        }
    }

    /// Reads or writes, as often as it takes to know how things are. A request that hangs is given up
    /// early enough for another one.
    async fn try_once(&mut self) {
        for _ in 0..3 {
            let limit = Instant::now() + self.terms.hold / 2;
            let step = self.candidate.step(Instant::now());
            let leases = self.leases.clone();
            let lease = self.lease.clone();
            let sent = Instant::now();
            let params = PostParams::default();
            let read_only = step == Step::Read || step == Step::Wait;
            let request = async move {
                match step {
                    Step::Read | Step::Wait => leases.get_opt(&lease).await,
                    Step::Create(lease) => leases.create(&params, &lease).await.map(Some),
                    Step::Replace(new) => leases.replace(&lease, &params, &new).await.map(Some),
                }
            };
            let answer = tokio::time::timeout_at(limit, self.until_told(request)).await;
            let now = Instant::now();
            match answer {
                Ok(Ok(lease)) if read_only => {
                    self.complaint = None;
                    self.candidate.read(lease, now);
                    if self.candidate.step(now) == Step::Wait {
                        return;
                    }
                }
                Ok(Ok(lease)) => {
                    self.complaint = None;
                    match lease {
                        Some(lease) => self.candidate.wrote(lease, sent, now),
                        None => self.candidate.forget(),
                    }
                    return;
                }
                Ok(Err(kube::Error::Api(status))) if is_race(&status) => self.candidate.forget(),
                Ok(Err(error)) => {
                    self.candidate.forget();
                    self.complain(match error {
                        kube::Error::Api(status) => status.message,
                        error => error.to_string(),
                    });
                    return;
                }
                Err(_) => {
                    self.candidate.forget();
                    self.complain("the API server did not answer in time".to_owned());
                    return;
                }
            }
        }
    }

    /// Awaits `work`, and says meanwhile that the time of leading is over when it is.
    async fn until_told<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let until = self.candidate.until(Instant::now());
        let over = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = over => {}
        }
        tracing::warn!("not the leader any more: the lease could not be renewed in time");
        self.told.send_modify(|told| told.until = None);
        work.await
    }

    /// Tells those who act.
    fn tell(&self) {
        let until = self.candidate.until(Instant::now());
        let known = self.candidate.holder();
        let mut told = self.told.borrow().clone();
        let before = std::mem::replace(&mut told.until, until);
        if let Some(holder) = known {
            told.holder = Some(holder.map(str::to_owned));
        }
        self.told.send_replace(told);
        match (before.is_some(), until.is_some()) {
            (false, true) => tracing::info!(lease = self.lease, "this operator leads"),
            (true, false) => tracing::warn!(
                lease = self.lease,
                holder = known.flatten(),
                "not the leader any more"
            ),
            _ => {}
        }
    }

    fn complain(&mut self, what: String) {
        if self.complaint.as_ref() != Some(&what) {
            tracing::warn!(lease = self.lease, error = what, "the lease can't be had");
            self.complaint = Some(what);
        }
    }

    /// Gives the Lease back if it is held; a request that was cut off may have changed it.
    async fn release(&mut self) {
        self.told.send_modify(|told| told.until = None);
        match timeout(RELEASE, self.give_back()).await {
            Ok(Ok(true)) => tracing::info!(lease = self.lease, "the lease is given back"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::warn!(lease = self.lease, %error, "the lease is not given back: it will run out");
            }
            Err(_) => {
                tracing::warn!(
                    lease = self.lease,
                    "the lease is not given back: it will run out"
                );
            }
        }
    }

    /// Gives whether there was anything to give back.
    async fn give_back(&mut self) -> Result<bool, kube::Error> {
        loop {
            match self.candidate.release() {
                Release::Done => return Ok(false),
                Release::Read => {
                    let lease = self.leases.get_opt(&self.lease).await?;
                    self.candidate.read(lease, Instant::now());
                }
                Release::Write(lease) => {
                    let params = PostParams::default();
                    match self.leases.replace(&self.lease, &params, &lease).await {
                        Ok(_) => return Ok(true),
                        Err(kube::Error::Api(status)) if is_race(&status) => {
                            self.candidate.forget()
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
}

/// Whether somebody else wrote first, or made the Lease, or deleted it: who holds it has to be read.
fn is_race(status: &Status) -> bool {
    status.is_conflict() || status.is_already_exists() || status.is_not_found()
}
