//! What a storm's clients met, told in numbers.

use std::fmt;
use std::time::Duration;

use linnet_tests::follower::Absence;
use serde_json::{Value, json};
use tokio::time::Instant;

/// The window in which reconnects are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// A named part of a storm, and how its clients fared.
#[derive(Clone, Debug, PartialEq)]
pub struct Away {
    /// What was done in it.
    pub name: String,
    /// How often a client was away.
    pub count: usize,
    /// Half of the absences were not longer, in seconds.
    pub p50: f64,
    /// 99 of 100 were not longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Most clients that came back within one second.
    pub burst: usize,
}

/// All parts of a storm, once it is over and everything was found whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Messages that were published, and reached every client of their room once and in order.
    pub messages: u64,
    /// The parts, in the order of time.
    pub parts: Vec<Away>,
}

impl Away {
    /// Of the absences that began from `begin` on and before `end`.
    #[must_use]
    pub fn of(name: &str, absences: &[Absence], begin: Instant, end: Option<Instant>) -> Self {
        let here =
            |absence: &&Absence| absence.left >= begin && end.is_none_or(|end| absence.left < end);
        let absences: Vec<_> = absences.iter().filter(here).collect();
        let mut lengths: Vec<_> = absences
            .iter()
            .map(|absence| (absence.back - absence.left).as_secs_f64())
            .collect();
        lengths.sort_by(f64::total_cmp);
        let greeted = absences.iter().map(|absence| absence.greeted).collect();
        Self {
            name: name.to_owned(),
            count: lengths.len(),
            p50: rank(&lengths, 50),
            p99: rank(&lengths, 99),
            max: rank(&lengths, 100),
            burst: burst(greeted),
        }
    }
}

/// The smallest of `sorted` that `percent` of them do not exceed; 0 of none.
fn rank(sorted: &[f64], percent: usize) -> f64 {
    let number = (sorted.len() * percent).div_ceil(100);
    sorted.get(number.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Most of `moments` that lie within one [`WINDOW`].
fn burst(mut moments: Vec<Instant>) -> usize {
    moments.sort();
    let mut first = 0;
    let mut most = 0;
    for (last, moment) in moments.iter().enumerate() {
        while *moment - moments[first] >= WINDOW {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

impl Report {
    /// As the storm's process tells it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let parts: Vec<_> = self
            .parts
            .iter()
            .map(|part| {
                json!({
                    "name": part.name, "count": part.count, "p50": part.p50, "p99": part.p99, "max": part.max,
                    "burst": part.burst,
                })
            })
            .collect();
        json!({"messages": self.messages, "parts": parts})
    }

    /// What the storm's process told.
    ///
    /// # Panics
    /// When it is something else.
    #[must_use]
    pub fn from_json(told: &Value) -> Self {
        let number = |value: &Value| value.as_f64().unwrap();
        let count = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let parts = told["parts"].as_array().unwrap().iter().map(|part| Away {
            name: part["name"].as_str().unwrap().to_owned(),
            count: count(&part["count"]),
            p50: number(&part["p50"]),
            p99: number(&part["p99"]),
            max: number(&part["max"]),
            burst: count(&part["burst"]),
        });
        Self {
            messages: told["messages"].as_u64().unwrap(),
            parts: parts.collect(),
        }
    }

    /// The part of this name.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn part(&self, name: &str) -> &Away {
        let part = self.parts.iter().find(|part| part.name == name);
        part.unwrap_or_else(|| panic!("no part {name} in {self}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} messages, each with every client of its room once and in order",
            self.messages
        )?;
        for part in &self.parts {
            writeln!(
                f,
                "  {}: {} times away, p50 {:.2} s, p99 {:.2} s, max {:.2} s; at most {} came back within a second",
                part.name, part.count, part.p50, part.p99, part.max, part.burst
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absence(begin: Instant, left: u64, away: u64) -> Absence {
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        Absence {
            left: at(left),
            greeted: at(left + away / 2),
            back: at(left + away),
        }
    }

    #[test]
    fn an_absence_belongs_to_the_part_in_which_it_began() {
        let begin = Instant::now();
        let absences = [
            absence(begin, 0, 10),
            absence(begin, 900, 500),
            absence(begin, 1000, 20),
        ];
        let middle = begin + Duration::from_secs(1);
        let first = Away::of("first", &absences, begin, Some(middle));
        assert_eq!((first.count, first.max), (2, 0.5));
        let second = Away::of("second", &absences, middle, None);
        assert_eq!((second.count, second.max), (1, 0.02));
    }

    #[test]
    fn ranks_are_lengths_that_occurred() {
        let lengths: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(
            (rank(&lengths, 50), rank(&lengths, 99), rank(&lengths, 100)),
            (100.0, 198.0, 200.0)
        );
        assert_eq!((rank(&[7.0], 50), rank(&[], 99)), (7.0, 0.0));
    }

    #[test]
    fn a_burst_is_what_lies_within_a_second_wherever_that_begins() {
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        assert_eq!(burst(vec![]), 0);
        assert_eq!(burst(vec![at(0), at(1000), at(2000)]), 1);
        assert_eq!(burst(vec![at(1700), at(0), at(900), at(1100), at(1899)]), 4);
    }

    #[test]
    fn a_report_is_read_as_it_was_told() {
        let absences = [absence(Instant::now(), 5, 10)];
        let part = Away::of("restart", &absences, absences[0].left, None);
        let report = Report {
            messages: 7,
            parts: vec![part],
        };
        assert_eq!(Report::from_json(&report.to_json()), report);
    }
}
