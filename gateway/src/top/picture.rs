//! What happened between two answers, of one gateway or of several together.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use linnet_telemetry::metric::{Metric, Reading};
use serde_json::Value;

use super::fetch::Answer;

/// Answers by gateway; an error where there was none.
pub(super) type Answers = BTreeMap<SocketAddr, Result<Answer, String>>;

/// What is shown.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Picture {
    pub(super) gateways: Vec<Line>,
    pub(super) rooms: Vec<(String, u64, u64)>,
    pub(super) users: Vec<(String, u64)>,
    pub(super) slow: Vec<(String, String, u64)>,
}

/// One gateway.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) connections: f64,
    /// A second.
    pub(super) received: f64,
    pub(super) delivered: f64,
    pub(super) bytes_out: f64,
    /// Seconds; `None`: nothing was delivered.
    pub(super) p50: Option<f64>,
    pub(super) p99: Option<f64>,
    pub(super) slow: f64,
    pub(super) memory: f64,
}

impl Picture {
    /// Of what was said before and now; rates are since then, or since the start where there is no before.
    pub(super) fn between(before: &Answers, now: &Answers, most: usize) -> Self {
        let mut picture = Self::default();
        let (mut rooms, mut users) = (BTreeMap::new(), BTreeMap::new());
        for (address, answer) in now {
            let before = before.get(address).and_then(|answer| answer.as_ref().ok());
            match answer {
                Ok(answer) => {
                    picture.gateways.push(line(before, answer));
                    for room in answer.top["rooms"].as_array().into_iter().flatten() {
                        let of: &mut (u64, u64) = rooms.entry(text(&room["room"])).or_default();
                        of.0 += number(&room["subscribers"]);
                        // Each gateway sees all messages of a room.
                        of.1 = of.1.max(number(&room["messages"]));
                    }
                    for user in answer.top["users"].as_array().into_iter().flatten() {
                        *users.entry(text(&user["user"])).or_insert(0) +=
                            number(&user["connections"]);
                    }
                    for client in answer.top["slow"].as_array().into_iter().flatten() {
                        let (id, user) = (text(&client["connectionId"]), text(&client["userId"]));
                        picture.slow.push((id, user, number(&client["bytes"])));
                    }
                }
                Err(why) => picture.gateways.push(Line {
                    name: address.to_string(),
                    state: why.clone(),
                    ..Line::default()
                }),
            }
        }
        picture.rooms = rooms
            .into_iter()
            .map(|(name, (a, b))| (name, a, b))
            .collect();
        picture
            .rooms
            .sort_by_key(|(_, a, b)| std::cmp::Reverse((*b, *a)));
        picture.users = users.into_iter().collect();
        picture
            .users
            .sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        picture
            .slow
            .sort_by_key(|(_, _, bytes)| std::cmp::Reverse(*bytes));
        picture.rooms.truncate(most);
        picture.users.truncate(most);
        picture.slow.truncate(most);
        picture
    }

    /// The same with names that nobody is behind, each with why.
    pub(super) fn with_unknown(mut self, names: Vec<(String, String)>) -> Self {
        let lines = names.into_iter().map(|(name, state)| Line {
            name,
            state,
            ..Line::default()
        });
        self.gateways.extend(lines);
        self
    }
}

fn line(before: Option<&Answer>, now: &Answer) -> Line {
    let seconds = before.map(|before| (now.at - before.at).as_secs_f64().max(0.001));
    let sum = |answer: &Answer, name: &str| {
        let found = answer.metrics.iter().filter(|metric| metric.name == name);
        found.map(total).sum::<f64>()
    };
    let rate = |name: &str| match (before, seconds) {
        (Some(before), Some(seconds)) => (sum(now, name) - sum(before, name)).max(0.0) / seconds,
        _ => 0.0,
    };
    let latency = "linnet_delivery_latency_seconds";
    let quantile = |share| {
        quantile(
            before.map(|before| &*before.metrics),
            &now.metrics,
            latency,
            share,
        )
    };
    let down = sum(now, "linnet_broker_connected") == 0.0
        && now
            .metrics
            .iter()
            .any(|metric| metric.name == "linnet_broker_connected");
    let state = match (&now.status["draining"], &now.status["configError"]) {
        (Value::Bool(true), _) => "draining",
        _ if down => "no broker",
        (_, Value::String(_)) => "old manifest",
        _ => "ok",
    };
    Line {
        name: text(&now.status["name"]),
        state: state.to_owned(),
        connections: sum(now, "linnet_connections"),
        received: rate("linnet_messages_received_total"),
        delivered: rate("linnet_messages_delivered_total"),
        bytes_out: rate("linnet_sent_bytes_total"),
        p50: quantile(0.5),
        p99: quantile(0.99),
        slow: sum(now, "linnet_backlogged_connections"),
        memory: sum(now, "process_resident_memory_bytes"),
    }
}

fn total(metric: &Metric) -> f64 {
    let numbers = metric.series.iter().map(|series| match &series.value {
        Reading::Number(number) => *number,
        Reading::Histogram { sum, .. } => *sum,
    });
    numbers.sum()
}

/// The upper bound of the bucket that a share of the observations since `before` ends in.
fn quantile(before: Option<&[Metric]>, now: &[Metric], name: &str, share: f64) -> Option<f64> {
    let buckets = |metrics: &[Metric]| {
        let metric = metrics.iter().find(|metric| metric.name == name)?;
        match &metric.series.first()?.value {
            Reading::Histogram { bounds, counts, .. } => Some((bounds.clone(), counts.clone())),
            Reading::Number(_) => None,
        }
    };
    let (bounds, mut counts) = buckets(now)?;
    if let Some((_, old)) = before.and_then(buckets) {
        for (count, old) in counts.iter_mut().zip(old) {
            *count = count.saturating_sub(old);
        }
    }
    let all: u64 = counts.iter().sum();
    let mut seen = 0;
    let at = counts.iter().position(|count| {
        seen += count;
        all > 0 && seen as f64 >= share * all as f64
    })?;
    Some(bounds.get(at).copied().unwrap_or(f64::INFINITY))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use linnet_telemetry::metric::read_exposition;
    use serde_json::json;

    use super::*;

    fn answer(at: Instant, received: u64, fast: u64, slow: u64) -> Answer {
        let (first, all) = (fast, fast + slow);
        let text = format!(
            "# TYPE linnet_connections gauge\nlinnet_connections 3\n\
             # TYPE linnet_messages_received counter\nlinnet_messages_received_total {received}\n\
             # TYPE linnet_delivery_latency_seconds histogram\n\
             linnet_delivery_latency_seconds_bucket{{le=\"0.1\"}} {first}\n\
             linnet_delivery_latency_seconds_bucket{{le=\"+Inf\"}} {all}\n"
        );
        Answer {
            at,
            status: json!({"name": "g0", "draining": false, "configError": null}),
            metrics: read_exposition(&text),
            top: json!({
                "rooms": [{"room": "a", "subscribers": 2, "messages": 7}],
                "users": [{"user": "ann", "connections": 1}],
                "slow": [{"connectionId": "c", "userId": null, "bytes": 9}],
            }),
        }
    }

    fn answers(address: &str, answer: Answer) -> Answers {
        BTreeMap::from([(address.parse().unwrap(), Ok(answer))])
    }

    #[test]
    fn rates_and_latency_are_of_the_time_between_two_answers() {
        let start = Instant::now();
        let before = answers("127.0.0.1:1", answer(start, 10, 0, 100));
        let later = start + Duration::from_secs(2);
        let now = answers("127.0.0.1:1", answer(later, 30, 99, 101));
        let picture = Picture::between(&before, &now, 5);
        let line = &picture.gateways[0];
        assert_eq!((line.name.as_str(), line.state.as_str()), ("g0", "ok"));
        assert!((line.received - 10.0).abs() < 1e-9);
        assert_eq!((line.p50, line.p99), (Some(0.1), Some(0.1)));
        let first = Picture::between(&Answers::new(), &now, 5);
        assert!(first.gateways[0].received.abs() < 1e-9);
        assert_eq!(first.gateways[0].p99, Some(f64::INFINITY));
    }

    #[test]
    fn gateways_of_a_channel_are_added_up_and_one_that_is_away_says_so() {
        let start = Instant::now();
        let mut now = answers("127.0.0.1:1", answer(start, 1, 0, 0));
        now.extend(answers("127.0.0.1:2", answer(start, 1, 0, 0)));
        now.insert("127.0.0.1:3".parse().unwrap(), Err("refused".into()));
        let picture = Picture::between(&Answers::new(), &now, 5);
        assert_eq!(picture.rooms, [("a".into(), 4, 7)]);
        assert_eq!(picture.users, [("ann".into(), 2)]);
        assert_eq!(picture.slow.len(), 2);
        assert_eq!(picture.gateways[2].state, "refused");
        assert_eq!(picture.gateways[0].p99, None, "nothing was delivered");
    }
}
