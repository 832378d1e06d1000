//! From apply to the first connection, for a channel and for the same by hand.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::channel;
use crate::{
    cluster::{Kubectl, first_connection},
    process::Operator,
    report::{Report, Row, Unit},
    scenarios::{Settings, progress},
    stats::Summary,
};

/// Measures it in turns.
pub(super) fn measure(
    settings: &Settings,
    kubectl: &Kubectl,
    start: &impl Fn() -> Result<Operator>,
    report: &mut Report,
) -> Result<()> {
    let operator = start()?;
    // The first pod of an image is slower; and what the operator makes of a channel is the reference.
    apply_and_connect(kubectl, "warm-gateway", &[channel("warm", 1)])?;
    let by_hand = by_hand(kubectl, "warm")?;
    let (mut channels, mut plain) = (Vec::new(), Vec::new());
    for pair in 0..settings.pairs {
        progress(&format!(
            "operator: start {} of {}",
            pair + 1,
            settings.pairs
        ));
        let mut turns = [true, false];
        turns.rotate_left(pair % 2);
        for is_channel in turns {
            let (name, times, objects) = match is_channel {
                true => (
                    format!("c{pair}"),
                    &mut channels,
                    vec![channel(&format!("c{pair}"), 1)],
                ),
                false => {
                    let name = format!("p{pair}");
                    let objects = by_hand.replace("warm", &name);
                    (name, &mut plain, serde_json::from_str(&objects)?)
                }
            };
            let took = apply_and_connect(kubectl, &format!("{name}-gateway"), &objects)?;
            times.push(took.as_secs_f64() * 1e6);
        }
    }
    kubectl.run(&["delete", "realtimechannels", "--all", "--wait=false"])?;
    kubectl.run(&["delete", "deployments", "--all", "--wait=false"])?;
    operator.stop()?;
    let ratio = Summary::of_ratios(&channels, &plain);
    let row = |what: &str, times: &[f64]| {
        Summary::of(times).map(|times| Row::new(what, Unit::Microseconds, times))
    };
    report
        .rows
        .extend(row("channel: apply → first connection", &channels).map(|row| row.at_most(10e6)));
    report
        .rows
        .extend(row("by hand: apply → first connection", &plain));
    report
        .rows
        .extend(ratio.map(|ratio| Row::new("channel / by hand", Unit::Ratio, ratio).at_most(1.5)));
    Ok(())
}

fn apply_and_connect(kubectl: &Kubectl, service: &str, objects: &[Value]) -> Result<Duration> {
    let address = kubectl.address_of(service)?;
    let begun = Instant::now();
    kubectl.apply(objects)?;
    first_connection(address.get()?)?;
    Ok(begun.elapsed())
}

/// What the operator made of the channel `name`, as JSON to be applied by hand under another name.
fn by_hand(kubectl: &Kubectl, name: &str) -> Result<String> {
    let name = format!("{name}-gateway");
    let kinds = ["serviceaccount", "configmap", "service", "deployment"];
    let objects = kinds.map(|kind| {
        let mut object = kubectl.get(&[kind, &name])?;
        let labels = object["metadata"]["labels"].take();
        // Not the operator's: it would look after them.
        object["metadata"] = json!({"name": name, "labels": {"app.kubernetes.io/instance": labels["app.kubernetes.io/instance"]}});
        remove(&mut object, "", &["status"]);
        remove(&mut object, "/spec", &["clusterIP", "clusterIPs"]);
        remove(
            &mut object,
            "/spec/template/metadata/labels",
            &["app.kubernetes.io/managed-by"],
        );
        Ok(object)
    });
    let objects = objects.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(serde_json::to_string(&objects)?)
}

fn remove(object: &mut Value, path: &str, fields: &[&str]) {
    if let Some(map) = object.pointer_mut(path).and_then(Value::as_object_mut) {
        map.retain(|name, _| !fields.contains(&name.as_str()));
    }
}
