//! Candidates against an API server that keeps one Lease, on a clock that the tests move.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::candidate::{Candidate, Release, Step, Terms};
use super::{Campaign, Leadership, campaign};
use server::{Fault, Server};

mod server;

/// One operator.
struct Operator {
    leadership: Leadership,
    stop: Option<oneshot::Sender<()>>,
    work: JoinHandle<()>,
}

impl Operator {
    fn start(server: &Server, pod: &str) -> Self {
        let (stop, stopped) = oneshot::channel();
        let settings = Campaign {
            lease: "linnet-operator".into(),
            namespace: "linnet".into(),
            pod: pod.into(),
            terms: Terms::default(),
        };
        let stopped = async move {
            let _ = stopped.await;
        };
        let (leadership, work) = campaign(server.client(), settings, stopped);
        Self {
            leadership,
            stop: Some(stop),
            work: tokio::spawn(work),
        }
    }

    async fn leads(&self) -> Duration {
        let started = Instant::now();
        self.leadership.clone().begun().await;
        started.elapsed()
    }

    async fn is_over(&self) -> Duration {
        let started = Instant::now();
        self.leadership.clone().ended().await;
        started.elapsed()
    }

    async fn terminate(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.work.await.unwrap();
    }

    /// The process is gone without a word.
    fn crash(self) {
        self.work.abort();
    }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_the_other_stands_by() {
    let server = Server::default();
    let one = Operator::start(&server, "one");
    assert!(one.leads().await < s(1));
    let two = Operator::start(&server, "two");
    for _ in 0..60 {
        sleep(s(1)).await;
        assert!(one.leadership.is_leading());
        assert!(!two.leadership.is_leading());
    }
    assert_eq!(server.holder().as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_given_back_is_taken_at_the_next_try() {
    let server = Server::default();
    let one = Operator::start(&server, "one");
    one.leads().await;
    let two = Operator::start(&server, "two");
    sleep(s(5)).await;
    one.terminate().await;
    assert_eq!(server.holder(), None);
    assert!(two.leads().await <= s(3));
    assert_eq!(server.holder().as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_term_is_waited_for_and_no_longer_than_that() {
    let server = Server::default();
    let one = Operator::start(&server, "one");
    one.leads().await;
    let two = Operator::start(&server, "two");
    sleep(s(30)).await;
    one.crash();
    let waited = two.leads().await;
    assert!(waited >= s(12) && waited <= s(20), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_candidate_waits_a_whole_term_however_old_the_lease_says_it_is() {
    let server = Server::default();
    let one = Operator::start(&server, "one");
    one.leads().await;
    one.crash();
    sleep(s(3600)).await;
    let two = Operator::start(&server, "two");
    assert!(two.leads().await >= s(15), "it trusts no clock but its own");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_can_not_renew_stops_before_another_begins() {
    for fault in [Fault::Error, Fault::Silent] {
        let server = Server::default();
        let one = Operator::start(&server, "one");
        one.leads().await;
        sleep(s(30)).await;
        server.fail(fault);
        let cut = Instant::now();
        let over = one.is_over().await;
        assert!(over <= s(10), "{over:?}");
        // Another one can reach the server, and saw the last renewal as late as now.
        server.fail(Fault::None);
        one.crash();
        let two = Operator::start(&server, "two");
        two.leads().await;
        assert!(cut.elapsed() >= over + s(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_fault_of_the_api_server_ends_nothing() {
    let server = Server::default();
    let one = Operator::start(&server, "one");
    one.leads().await;
    for fault in [Fault::Error, Fault::Silent, Fault::AnswerLost] {
        sleep(s(30)).await;
        server.fail(fault);
        let watch = one.leadership.clone();
        let ended = tokio::spawn(async move { watch.clone().ended().await });
        sleep(s(3)).await;
        server.fail(Fault::None);
        sleep(s(20)).await;
        assert!(!ended.is_finished());
        assert!(one.leadership.is_leading());
        ended.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_takes_its_lease_again_when_the_api_server_is_back() {
    let server = Server::default();
    let one = Operator::start(&server, "one");
    one.leads().await;
    server.fail(Fault::Silent);
    one.is_over().await;
    sleep(s(60)).await;
    server.fail(Fault::None);
    assert!(one.leads().await <= s(8));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_has_written_is_lost_at_once() {
    let server = Server::default();
    let one = Operator::start(&server, "one");
    one.leads().await;
    server.take_away();
    assert!(one.is_over().await <= s(3));
    let writes = server.writes();
    sleep(s(10)).await;
    assert_eq!(server.writes(), writes, "it is not written over");
    assert!(one.leads().await <= s(8), "the other one is gone");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_deleted_is_made_again() {
    let server = Server::default();
    let one = Operator::start(&server, "one");
    one.leads().await;
    server.delete();
    sleep(s(5)).await;
    assert!(one.leadership.is_leading());
    assert_eq!(server.holder().as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_given_back_also_when_a_renewal_was_cut_off() {
    let server = Server::default();
    let one = Operator::start(&server, "one");
    one.leads().await;
    server.fail(Fault::AnswerLost);
    sleep(s(3)).await; // a renewal is done, and its answer awaited
    server.fail(Fault::None);
    one.terminate().await;
    assert_eq!(server.holder(), None);
}

#[tokio::test(start_paused = true)]
async fn an_end_does_not_hang_on_an_api_server_that_does_not_answer() {
    let server = Server::default();
    let one = Operator::start(&server, "one");
    one.leads().await;
    server.fail(Fault::Silent);
    let started = Instant::now();
    one.terminate().await;
    assert!(started.elapsed() <= s(4));
}

#[tokio::test(start_paused = true)]
async fn of_many_candidates_never_two_lead() {
    let server = Server::default();
    let mut operators: Vec<Operator> = (0..4)
        .map(|n| Operator::start(&server, &format!("pod{n}")))
        .collect();
    let mut leaders = std::collections::BTreeSet::new();
    for round in 0..400u64 {
        sleep(Duration::from_millis(500)).await;
        let leading: Vec<usize> = (0..4)
            .filter(|n| operators[*n].leadership.is_leading())
            .collect();
        assert!(leading.len() <= 1, "{leading:?}");
        leaders.extend(leading.iter().copied());
        server.fail(match round % 80 {
            20..45 => Fault::Silent,
            60..64 => Fault::AnswerLost,
            _ => Fault::None,
        });
        if round % 80 == 70
            && let Some(leader) = leading.first()
        {
            let next = Operator::start(&server, &format!("pod{leader}"));
            std::mem::replace(&mut operators[*leader], next).crash();
        }
    }
    assert!(leaders.len() > 1, "leadership moved: {leaders:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_counts_from_when_it_was_asked_for() {
    let terms = Terms::default();
    let mut candidate = Candidate::new("me".into(), "l".into(), "n".into(), terms);
    candidate.read(None, Instant::now());
    let Step::Create(lease) = candidate.step(Instant::now()) else {
        panic!("there is none");
    };
    let sent = Instant::now();
    sleep(s(9)).await;
    candidate.wrote(*lease, sent, Instant::now());
    assert_eq!(candidate.until(Instant::now()), Some(sent + terms.hold));
    sleep(s(1)).await;
    assert_eq!(candidate.until(Instant::now()), None);
}

#[tokio::test(start_paused = true)]
async fn a_term_of_absurd_length_does_not_stop_the_operator_for_ever() {
    let mut candidate = Candidate::new("me".into(), "l".into(), "n".into(), Terms::default());
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {"name": "l", "resourceVersion": "1"},
        "spec": {"holderIdentity": "other", "leaseDurationSeconds": i32::MAX},
    }))
    .unwrap();
    candidate.read(Some(lease), Instant::now());
    assert_eq!(candidate.step(Instant::now()), Step::Wait);
    sleep(s(600)).await;
    assert!(matches!(candidate.step(Instant::now()), Step::Replace(_)));
    assert_eq!(
        candidate.release(),
        Release::Done,
        "it is not ours to give back"
    );
}

#[tokio::test(start_paused = true)]
async fn who_runs_alone_leads_for_ever() {
    let leadership = Leadership::alone();
    sleep(s(1_000_000)).await;
    assert!(leadership.is_leading());
    leadership.clone().begun().await;
}
