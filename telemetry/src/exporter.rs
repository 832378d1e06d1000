//! The thread that sends: spans as they come together, metrics by the clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::convert;
use crate::metric::{Metric, read_exposition};
use crate::queue::{self, Outbound, stats};
use crate::send::{Outcome, Sender, SetUpError};
use crate::settings::Settings;
use crate::span;

/// How long a transfer is tried again. Meanwhile spans wait in the queue, and are dropped where it is full.
const PERSIST: Duration = Duration::from_secs(10);
/// Pause before a transfer is tried again; it doubles.
const PAUSE: Duration = Duration::from_millis(250);
/// Between two log lines about a collector that does not take what it is sent.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Reads all metrics of the process.
pub type Collect = Box<dyn Fn() -> Vec<Metric> + Send>;

/// The exporter of this process; see [`Exporter::end`].
#[derive(Debug)]
pub struct Exporter {
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    ended: Mutex<Receiver<()>>,
}

struct Run {
    settings: Settings,
    traces: Option<Sender>,
    metrics: Option<Sender>,
    collect: Collect,
    outbound: Option<Outbound>,
    ending: Arc<AtomicBool>,
    started: u64,
    told: Option<Instant>,
}

/// Why there is no exporter.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The way to the collector can't be made.
    #[error(transparent)]
    SetUp(#[from] SetUpError),
    /// No thread, or no runtime.
    #[error("the exporter's thread: {0}")]
    Io(#[from] std::io::Error),
    /// There is one already.
    #[error("this process has an exporter already")]
    Twice,
}

impl Exporter {
    /// The exporter of a process whose metrics `text` gives in the OpenMetrics text format. A process whose telemetry
    /// can't be sent works all the same: the log says why.
    pub fn of_process(
        settings: Settings,
        text: impl Fn() -> String + Send + 'static,
    ) -> Option<Self> {
        for complaint in &settings.complaints {
            tracing::warn!("{complaint}");
        }
        let collect = move || read_exposition(&text());
        Self::start(settings, Box::new(collect)).unwrap_or_else(|error| {
            tracing::error!(%error, "traces and metrics are not sent");
            None
        })
    }

    /// Starts the thread. `None`: nothing is to be sent.
    ///
    /// # Errors
    /// When the settings name what can't be used, or the process has an exporter.
    pub fn start(settings: Settings, collect: Collect) -> Result<Option<Self>, StartError> {
        if !settings.is_on() {
            return Ok(None);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let sender = |target: &Option<_>| {
            let _inside = runtime.enter();
            target.as_ref().map(Sender::new).transpose()
        };
        let set_up = || {
            let (traces, metrics) = (sender(&settings.traces)?, sender(&settings.metrics)?);
            let outbound = match traces {
                Some(_) => {
                    let open = queue::open(settings.batch.queue, settings.batch.size);
                    Some(open.ok_or(StartError::Twice)?)
                }
                None => None,
            };
            Ok((traces, metrics, outbound))
        };
        let (traces, metrics, outbound) = match set_up() {
            Ok(set_up) => set_up,
            Err(error) => {
                // The caller may be inside a runtime, where dropping another one panics.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let ending = Arc::<AtomicBool>::default();
        let run = Run {
            traces,
            metrics,
            collect,
            outbound,
            ending: Arc::clone(&ending),
            started: span::now(),
            told: None,
            settings,
        };
        let (done, ended) = channel::<()>();
        let thread = thread::Builder::new()
            .name("telemetry".into())
            .spawn(move || {
                let _done = done;
                run.run(&runtime);
            })?;
        Ok(Some(Self {
            ending,
            thread,
            ended: Mutex::new(ended),
        }))
    }

    /// Sends what waits, and ends; waits for it no longer than `most`.
    pub fn end(&self, most: Duration) {
        self.ending.store(true, Ordering::Release);
        self.thread.thread().unpark();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent: the other end is gone when the thread is.
        let _ = ended.recv_timeout(most);
    }
}

impl Run {
    fn run(mut self, runtime: &tokio::runtime::Runtime) {
        if let Some(outbound) = &self.outbound {
            outbound.attend();
        }
        let mut metrics_due = Instant::now() + self.settings.metric_interval;
        let mut traces_due = Instant::now() + self.settings.batch.delay;
        loop {
            let wake = match self.outbound {
                Some(_) => traces_due.min(metrics_due),
                None => metrics_due,
            };
            if !self.is_ending() {
                thread::park_timeout(wake.saturating_duration_since(Instant::now()));
            }
            let ending = self.is_ending();
            let mut more = false;
            while let Some(outbound) = &self.outbound {
                let spans = outbound.take(self.settings.batch.size);
                more = spans.len() == self.settings.batch.size;
                if !spans.is_empty() {
                    runtime.block_on(self.send_spans(spans));
                }
                // Metrics have their turn also where spans come faster than they are sent.
                if !more || Instant::now() >= metrics_due {
                    break;
                }
            }
            let delay = if more {
                Duration::ZERO
            } else {
                self.settings.batch.delay
            };
            traces_due = Instant::now() + delay;
            if Instant::now() >= metrics_due || ending {
                runtime.block_on(self.send_metrics());
                metrics_due = Instant::now() + self.settings.metric_interval;
            }
            if ending {
                return;
            }
        }
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    async fn send_spans(&mut self, spans: Vec<crate::Span>) {
        let count = spans.len() as u64;
        let (resource, limits) = (&self.settings.resource, &self.settings.limits);
        let request = convert::traces(spans, resource, limits);
        let begun = Instant::now();
        let mut pause = PAUSE;
        loop {
            let Some(sender) = &self.traces else { return };
            match sender.send(&request).await {
                Outcome::Taken { refused } => {
                    let refused = refused.min(count);
                    stats().export(count - refused, refused);
                    if refused > 0 {
                        self.tell(
                            "traces",
                            &format!("{refused} of {count} spans were refused"),
                        );
                    }
                    return;
                }
                Outcome::Later(why, after) => {
                    let wait = after.unwrap_or(pause).min(PERSIST);
                    if begun.elapsed() + wait > PERSIST || self.is_ending() {
                        stats().export(0, count);
                        return self.tell("traces", &why);
                    }
                    tokio::time::sleep(wait).await;
                    pause *= 2;
                }
                Outcome::Refused(why) => {
                    stats().export(0, count);
                    return self.tell("traces", &why);
                }
            }
        }
    }

    /// Not tried again: the next transfer says the same, and newer.
    async fn send_metrics(&mut self) {
        let Some(sender) = &self.metrics else { return };
        let (metrics, resource) = ((self.collect)(), &self.settings.resource);
        let request = convert::metrics(metrics, resource, self.started, span::now());
        match sender.send(&request).await {
            Outcome::Taken { refused: 0 } => {}
            Outcome::Taken { refused } => {
                self.tell("metrics", &format!("{refused} points were refused"));
            }
            Outcome::Later(why, _) | Outcome::Refused(why) => self.tell("metrics", &why),
        }
    }

    /// Where the collector is sick, saying so with every transfer would fill the log.
    fn tell(&mut self, what: &str, why: &str) {
        let recent = |told: Instant| told.elapsed() < TELL_EVERY;
        if self.told.is_some_and(recent) {
            return;
        }
        self.told = Some(Instant::now());
        let dropped = stats().dropped_full() + stats().dropped_failed();
        tracing::warn!(
            what,
            why,
            spans_dropped = dropped,
            "the collector does not take telemetry"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{self, Own};

    #[tokio::test]
    async fn settings_that_can_t_be_used_are_errors_that_show_no_secret_and_end_nothing() {
        const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
        const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
        const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
        let good = (ENDPOINT, "https://collector:4318");
        for protocol in ["grpc", "http/protobuf"] {
            for bad in [
                [(ENDPOINT, "http://me:s3cret@a host"), (HEADERS, "")],
                [(ENDPOINT, "://me:s3cret@host:4318"), (HEADERS, "")],
                [good, (HEADERS, "a b=s3cret")],
                [good, (HEADERS, "key=s3cret%0Ainjected: yes")],
                [good, (CERTIFICATE, "/not/there.pem")],
            ] {
                let own = Own::default();
                let settings = env::read(&own, |name| {
                    let mut all = bad.into_iter().chain([(PROTOCOL, protocol)]);
                    all.find(|(other, _)| *other == name)
                        .map(|(_, value)| value.to_owned())
                });
                let error = Exporter::start(settings.clone(), Box::new(Vec::new)).unwrap_err();
                assert!(matches!(error, StartError::SetUp(_)), "{error}");
                assert!(!error.to_string().contains("s3cret"), "{error}");
                assert!(Exporter::of_process(settings, String::new).is_none());
            }
        }
    }
}
