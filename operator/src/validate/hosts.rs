//! Which hosts a channel has, where several want the same.

use linnet_crds::RealtimeChannel;
use linnet_crds::expose::Expose;

/// What stands for a channel that takes any host.
const ANY: &str = "*";

/// A host that an older channel has at the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The host; `*`: any.
    pub host: String,
    /// The channel that has it, as namespace/name.
    pub by: String,
}

/// The way from outside to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The hosts it has.
    pub hosts: Hosts,
    /// Those it wants and does not have.
    pub taken: Vec<Taken>,
}

/// The hosts that are a channel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Whatever no other route names.
    Any,
    /// These.
    These(Vec<String>),
    /// None at all: others have them.
    None,
}

/// What of `expose` is the channel's own; `None` where it asks for no way from outside.
#[must_use]
pub fn exposure(expose: &Expose, taken: &[Taken]) -> Option<Exposure> {
    if !asks(expose) {
        return None;
    }
    let has = |host: &str| !taken.iter().any(|taken| taken.host == host);
    let hosts = match expose.hosts.is_empty() {
        true if has(ANY) => Hosts::Any,
        true => Hosts::None,
        false => {
            let own: Vec<_> = expose
                .hosts
                .iter()
                .filter(|host| has(host))
                .cloned()
                .collect();
            if own.is_empty() {
                Hosts::None
            } else {
                Hosts::These(own)
            }
        }
    };
    Some(Exposure {
        hosts,
        taken: taken.to_vec(),
    })
}

/// The hosts of `channel` that another of `all` has. Of two that want the same host and path the older has it: nobody
/// can take a host away by asking for it too.
pub fn taken<'a>(
    channel: &RealtimeChannel,
    all: impl IntoIterator<Item = &'a RealtimeChannel>,
) -> Vec<Taken> {
    if !asks(&channel.spec.expose) {
        return Vec::new();
    }
    let wanted = wanted(channel);
    let own = age(channel);
    let mut holders: Vec<Option<&RealtimeChannel>> = vec![None; wanted.len()];
    for other in all {
        let rival = age(other) < own
            && asks(&other.spec.expose)
            && other.metadata.deletion_timestamp.is_none()
            && other.spec.expose.path == channel.spec.expose.path;
        if !rival {
            continue;
        }
        let theirs = self::wanted(other);
        for (host, holder) in wanted.iter().zip(&mut holders) {
            let older = holder.is_none_or(|holder| age(other) < age(holder));
            if older && theirs.contains(host) {
                *holder = Some(other);
            }
        }
    }
    let taken = wanted.iter().zip(holders).filter_map(|(host, holder)| {
        let (_, namespace, name) = age(holder?);
        Some(Taken {
            host: (*host).to_owned(),
            by: format!("{namespace}/{name}"),
        })
    });
    taken.collect()
}

fn asks(expose: &Expose) -> bool {
    expose.ingress.is_some() || expose.http_route.is_some()
}

fn wanted(channel: &RealtimeChannel) -> Vec<&str> {
    let hosts = &channel.spec.expose.hosts;
    match hosts.is_empty() {
        true => vec![ANY],
        false => hosts.iter().map(String::as_str).collect(),
    }
}

/// What orders channels by age; names decide where two are of the same second.
fn age(channel: &RealtimeChannel) -> (i64, &str, &str) {
    let metadata = &channel.metadata;
    let created = metadata.creation_timestamp.as_ref();
    (
        // One that is not in the cluster is the youngest.
        created.map_or(i64::MAX, |time| time.0.as_second()),
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    fn channel(name: &str, second: i64, path: &str, hosts: &[&str]) -> RealtimeChannel {
        let spec = json!({"expose": {"hosts": hosts, "path": path, "ingress": {}}});
        let mut channel = RealtimeChannel::new(name, serde_json::from_value(spec).unwrap());
        channel.metadata.namespace = Some("talk".into());
        let time = jiff::Timestamp::from_second(second).unwrap();
        channel.metadata.creation_timestamp = Some(Time(time));
        channel
    }

    fn hosts(taken: &[Taken]) -> Vec<(&str, &str)> {
        taken
            .iter()
            .map(|t| (t.host.as_str(), t.by.as_str()))
            .collect()
    }

    #[test]
    fn the_older_keeps_a_host_and_the_younger_is_told_whose_it_is() {
        let old = channel("old", 1, "/", &["a.example", "b.example"]);
        let new = channel("new", 2, "/", &["b.example", "c.example"]);
        let all = [old.clone(), new.clone()];
        assert_eq!(taken(&old, &all), []);
        let lost = taken(&new, &all);
        assert_eq!(hosts(&lost), [("b.example", "talk/old")]);
        let exposure = exposure(&new.spec.expose, &lost).unwrap();
        assert_eq!(exposure.hosts, Hosts::These(vec!["c.example".into()]));
    }

    #[test]
    fn who_loses_all_hosts_has_no_way_from_outside() {
        let old = channel("old", 1, "/", &[]);
        let new = channel("new", 2, "/", &[]);
        let lost = taken(&new, [&old, &new]);
        assert_eq!(hosts(&lost), [("*", "talk/old")]);
        assert_eq!(
            exposure(&new.spec.expose, &lost).unwrap().hosts,
            Hosts::None
        );
    }

    #[test]
    fn another_path_another_host_or_no_route_is_no_conflict() {
        let new = channel("new", 2, "/", &["a.example"]);
        let mut inside = channel("inside", 1, "/", &["a.example"]);
        inside.spec.expose.ingress = None;
        let others = [
            channel("path", 1, "/chat", &["a.example"]),
            channel("host", 1, "/", &["b.example"]),
            channel("any", 1, "/", &[]),
            inside,
        ];
        assert_eq!(taken(&new, &others), []);
    }

    #[test]
    fn of_two_of_the_same_second_the_name_decides_for_both_alike() {
        let (a, b) = (channel("a", 1, "/", &["x"]), channel("b", 1, "/", &["x"]));
        assert_eq!(taken(&a, [&a, &b]), []);
        assert_eq!(hosts(&taken(&b, [&a, &b])), [("x", "talk/a")]);
    }

    #[test]
    fn one_that_is_being_deleted_gives_its_hosts_up() {
        let mut old = channel("old", 1, "/", &["x"]);
        let new = channel("new", 2, "/", &["x"]);
        old.metadata.deletion_timestamp = old.metadata.creation_timestamp.clone();
        assert_eq!(taken(&new, [&old]), []);
    }

    #[test]
    fn a_channel_that_asks_for_no_route_has_none() {
        assert_eq!(exposure(&Expose::default(), &[]), None);
    }
}
