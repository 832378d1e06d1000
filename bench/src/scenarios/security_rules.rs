//! What it costs to ask the rules, cold and from memory, and the memory of many rules.

use std::hint::black_box;

use anyhow::{Context, Result};
use linnet_crds::rooms::{Access, RoomRule};
use linnet_gateway::auth::access::{Asker, Verb, Verdict, Verdicts};
use linnet_gateway::auth::grants::Grants;
use linnet_gateway::config::Rules;
use linnet_gateway::names::RoomName;
use nix::time::{ClockId, clock_gettime};

use super::{Settings, progress};
use crate::{
    measure::resident_bytes,
    report::{Report, Row, Unit},
    stats::Summary,
};

/// Rules that a manifest has at most, and more.
const RULES: usize = 256;
const MANY_RULES: usize = 10_000;
/// Patterns of the claim.
const PATTERNS: usize = 200;

/// Adds the rows on rules.
pub fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    progress("rules");
    let rules = Rules::compile(&many(RULES), true);
    let patterns: Vec<String> = (0..PATTERNS).map(|n| format!("team-{n}.*")).collect();
    let grants = Grants::parse(&serde_json::to_string(&patterns)?)?;
    let asker = Asker {
        name: "user-1",
        grants: Some(&grants),
    };
    // The last rule covers it and the last pattern lists it: everything is looked at.
    let room = RoomName::parse(&format!("team-{}.general", PATTERNS - 1))?;
    let verdict = Verdict::of(&rules, room.as_str(), asker);
    anyhow::ensure!(verdict.allows(Verb::Publish), "the token lists the room");
    let times = settings.pick(20_000, 100);
    let (mut cold, mut cached) = (Vec::new(), Vec::new());
    for _ in 0..settings.pairs {
        cold.push(each(times, || {
            black_box(Verdict::of(&rules, black_box(room.as_str()), asker));
        })?);
        let mut verdicts = Verdicts::default();
        // As many rooms as a busy connection publishes to; the one that is asked for was asked for first.
        for other in 0..8 {
            let other = RoomName::parse(&format!("team-{other}.general"))?;
            verdicts.of(&rules, &other, asker);
        }
        cached.push(each(times * 10, || {
            black_box(verdicts.of(&rules, black_box(&room), asker));
        })?);
    }
    let ratio = Summary::of_ratios(&cached, &cold);
    let what = "256 rules, a claim of 200 patterns: remembered / asked anew";
    report
        .rows
        .extend(ratio.map(|value| Row::new(what, Unit::Ratio, value).at_most(0.1)));
    for (what, values) in [
        ("256 rules, a claim of 200 patterns: asked anew", cold),
        ("256 rules, a claim of 200 patterns: remembered", cached),
    ] {
        let row = Summary::of(values).map(|value| Row::new(what, Unit::Microseconds, value));
        report.rows.extend(row);
    }
    let own = std::process::id();
    let mut sizes = Vec::new();
    for _ in 0..settings.pairs {
        let manifest = many(MANY_RULES);
        let before = resident_bytes(own)?;
        let copies: Vec<Rules> = (0..4).map(|_| Rules::compile(&manifest, true)).collect();
        let after = resident_bytes(own)?;
        let used = after.checked_sub(before).context("memory was given back")?;
        sizes.push(used as f64 / copies.len() as f64 / 1024.0);
        black_box(copies);
    }
    let row =
        Summary::of(sizes).map(|size| Row::new("10,000 rules in memory", Unit::Kilobytes, size));
    report.rows.extend(row);
    Ok(())
}

/// Rules that look alike; only the last one covers `team-*`.
fn many(count: usize) -> Vec<RoomRule> {
    let mut rules: Vec<RoomRule> = (1..count)
        .map(|n| RoomRule::new(format!("area-{n}.{{user_id}}.*")))
        .collect();
    let mut last = RoomRule::new("team-*");
    last.subscribe = Access::Claim;
    last.publish = Access::Claim;
    rules.push(last);
    rules
}

/// CPU time of one call, in microseconds.
fn each(times: u32, mut call: impl FnMut()) -> Result<f64> {
    let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(std::time::Duration::from);
    let before = now()?;
    for _ in 0..times {
        call();
    }
    Ok((now()? - before).as_secs_f64() * 1e6 / f64::from(times))
}
