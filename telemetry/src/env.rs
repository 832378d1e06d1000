//! The environment variables of OpenTelemetry, read into [`Settings`].
//!
//! What is set here holds before the manifest, as `RUST_LOG` does: who sets a variable on one process means that process.
//! An empty variable is as good as none, and a value that can't be used is left out with a complaint (OpenTelemetry
//! specification, Environment Variable Specification; OTLP Exporter Configuration).

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::settings::{Batch, Headers, Limits, Protocol, Settings, Target, TlsFiles};

/// What a process knows of itself, where the environment says nothing else.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// `service.name`.
    pub service: String,
    /// Further attributes of the process.
    pub resource: Vec<(String, String)>,
    /// The endpoint of its configuration.
    pub endpoint: Option<String>,
}

/// The port of OTLP over gRPC; any other is taken for HTTP, the default of the specification.
const GRPC_PORT: &str = ":4317";
/// Spans that wait at most, whatever is asked for.
const LONGEST_QUEUE: usize = 1 << 20;
/// Bounds of a time to wait, in milliseconds: a shorter one would keep a core busy, and a longer one overflow.
const SHORTEST_WAIT: u64 = 10;
const LONGEST_WAIT: u64 = 24 * 60 * 60 * 1000;

/// Reads the variables by `lookup`, which gives a variable's value.
pub fn read(own: &Own, lookup: impl Fn(&str) -> Option<String>) -> Settings {
    let mut reader = Reader {
        lookup: &lookup,
        complaints: Vec::new(),
    };
    let disabled = reader.flag("OTEL_SDK_DISABLED");
    let traces = reader.target(own, "TRACES", &["otlp"], "traces");
    let metrics = reader.target(own, "METRICS", &["otlp"], "metrics");
    let size = reader.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512);
    let queue = reader
        .number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)
        .clamp(1, LONGEST_QUEUE);
    let any = reader.number("OTEL_ATTRIBUTE_COUNT_LIMIT", 128);
    let length = reader.number("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", usize::MAX);
    Settings {
        traces: traces.filter(|_| !disabled),
        metrics: metrics.filter(|_| !disabled),
        resource: reader.resource(own),
        sampling: reader.sampling(),
        propagates: reader.propagates(),
        batch: Batch {
            queue,
            size: size.clamp(1, queue),
            delay: reader.milliseconds("OTEL_BSP_SCHEDULE_DELAY", 5000),
        },
        limits: Limits {
            attributes: reader.number("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", any),
            characters: reader.number("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", length),
            links: reader.number("OTEL_SPAN_LINK_COUNT_LIMIT", 128),
        },
        metric_interval: reader.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", 60_000),
        complaints: reader.complaints,
    }
}

/// [`read`] of the process's own environment.
#[must_use]
pub fn of_process(own: &Own) -> Settings {
    read(own, |name| std::env::var(name).ok())
}

struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    complaints: Vec<String>,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        let text = (self.lookup)(name)?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Of one kind of telemetry, else of all.
    fn of(&self, signal: &str, name: &str) -> Option<String> {
        self.text(&format!("OTEL_EXPORTER_OTLP_{signal}_{name}"))
            .or_else(|| self.text(&format!("OTEL_EXPORTER_OTLP_{name}")))
    }

    fn complain(&mut self, name: &str, value: &str, expected: &str) {
        self.say(format!(
            "{name}={value}: expected {expected}; it is left out"
        ));
    }

    /// Says it once, also of what holds for traces and for metrics.
    fn say(&mut self, complaint: String) {
        if !self.complaints.contains(&complaint) {
            self.complaints.push(complaint);
        }
    }

    fn parsed<T: FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let text = self.text(name)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.complain(name, &text, expected);
        }
        value
    }

    fn number(&mut self, name: &str, default: usize) -> usize {
        self.parsed(name, "a whole number").unwrap_or(default)
    }

    fn milliseconds(&mut self, name: &str, default: u64) -> Duration {
        let given: Option<u64> = self.parsed(name, "milliseconds, a whole number");
        Duration::from_millis(given.unwrap_or(default).clamp(SHORTEST_WAIT, LONGEST_WAIT))
    }

    /// Only "true" is true, in any case of letters.
    fn flag(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    fn target(&mut self, own: &Own, signal: &str, known: &[&str], path: &str) -> Option<Target> {
        let chooser = format!("OTEL_{signal}_EXPORTER");
        if let Some(exporter) = self.text(&chooser)
            && !known.contains(&exporter.as_str())
        {
            // Prometheus is there in any case: it fetches.
            if exporter != "none" && exporter != "prometheus" {
                self.complain(&chooser, &exporter, "otlp or none");
            }
            return None;
        }
        let exact = self.text(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
        let base = self.text("OTEL_EXPORTER_OTLP_ENDPOINT");
        let whole = exact.is_some();
        let url = exact.or(base).or_else(|| own.endpoint.clone())?;
        let protocol = match self.of(signal, "PROTOCOL").as_deref() {
            Some("grpc") => Protocol::Grpc,
            Some("http/protobuf") => Protocol::HttpProtobuf,
            None => guess(&url),
            Some(other) => {
                let name = "OTEL_EXPORTER_OTLP_PROTOCOL";
                self.complain(name, other, "grpc or http/protobuf");
                guess(&url)
            }
        };
        let url = match (protocol, url.contains("://")) {
            (_, true) => url,
            (Protocol::Grpc, false) => match self.of(signal, "INSECURE") {
                Some(yes) if yes.eq_ignore_ascii_case("true") => format!("http://{url}"),
                _ => format!("https://{url}"),
            },
            (Protocol::HttpProtobuf, false) => format!("http://{url}"),
        };
        let url = match (protocol, whole) {
            (Protocol::HttpProtobuf, false) => format!("{}/v1/{path}", url.trim_end_matches('/')),
            _ => url,
        };
        let timeout = match self.of(signal, "TIMEOUT") {
            Some(text) => match text.parse() {
                Ok(milliseconds) => Duration::from_millis(milliseconds),
                Err(_) => {
                    self.complain("OTEL_EXPORTER_OTLP_TIMEOUT", &text, "milliseconds");
                    Duration::from_secs(10)
                }
            },
            None => Duration::from_secs(10),
        };
        let file = |name| self.of(signal, name).map(PathBuf::from);
        let tls = TlsFiles {
            certificate: file("CERTIFICATE"),
            client_certificate: file("CLIENT_CERTIFICATE"),
            client_key: file("CLIENT_KEY"),
        };
        Some(Target {
            url,
            protocol,
            headers: Headers(self.headers(signal)),
            timeout,
            gzip: self.of(signal, "COMPRESSION").as_deref() == Some("gzip"),
            tls,
        })
    }

    /// `key=value,key=value`, values percent-encoded (W3C Baggage).
    fn headers(&mut self, signal: &str) -> Vec<(String, String)> {
        let text = self.of(signal, "HEADERS").unwrap_or_default();
        let (good, bad) = pairs(&text);
        for name in bad {
            // What stands there may be a secret: only its place is told.
            let said = format!(
                "OTEL_EXPORTER_OTLP_HEADERS: entry {name} is not name=value; it is left out"
            );
            self.say(said);
        }
        good
    }

    fn resource(&mut self, own: &Own) -> Vec<(String, String)> {
        let (given, bad) = pairs(&self.text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        if !bad.is_empty() {
            self.complaints.push(
                "OTEL_RESOURCE_ATTRIBUTES: an entry is not name=value; it is left out".into(),
            );
        }
        let mut resource = vec![("service.name".to_owned(), own.service.clone())];
        resource.extend(own.resource.iter().cloned());
        for (name, value) in given {
            set(&mut resource, name, value);
        }
        if let Some(name) = self.text("OTEL_SERVICE_NAME") {
            set(&mut resource, "service.name".into(), name);
        }
        resource
    }

    fn sampling(&mut self) -> Option<u32> {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        let sampler = self.text(NAME)?;
        match sampler.strip_prefix("parentbased_").unwrap_or(&sampler) {
            "always_on" => Some(1_000_000),
            "always_off" => Some(0),
            "traceidratio" => {
                let share: f64 = self
                    .parsed("OTEL_TRACES_SAMPLER_ARG", "a share between 0 and 1")
                    .unwrap_or(1.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 0 and a million"
                )]
                Some((share.clamp(0.0, 1.0) * 1e6).round() as u32)
            }
            _ => {
                let expected =
                    "always_on, always_off, traceidratio, or parentbased_ before one of these";
                self.complain(NAME, &sampler, expected);
                None
            }
        }
    }

    fn propagates(&mut self) -> bool {
        let Some(names) = self.text("OTEL_PROPAGATORS") else {
            return true;
        };
        names.split(',').any(|name| name.trim() == "tracecontext")
    }
}

fn guess(url: &str) -> Protocol {
    let host = url.split("://").last().unwrap_or(url);
    match host
        .split('/')
        .next()
        .is_some_and(|host| host.ends_with(GRPC_PORT))
    {
        true => Protocol::Grpc,
        false => Protocol::HttpProtobuf,
    }
}

fn set(resource: &mut Vec<(String, String)>, name: String, value: String) {
    resource.retain(|(other, _)| *other != name);
    resource.push((name, value));
}

/// Entries that could be read, and the places, counted from 1, of those that could not.
fn pairs(text: &str) -> (Vec<(String, String)>, Vec<usize>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let entries = text.split(',').map(str::trim).enumerate();
    for (index, entry) in entries.filter(|(_, entry)| !entry.is_empty()) {
        match entry.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                good.push((name.trim().to_owned(), decoded(value.trim())));
            }
            _ => bad.push(index + 1),
        }
    }
    (good, bad)
}

/// Percent-decodes; what is no escape stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escape {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests;
