//! The Lease as candidates read and write it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

/// Longest term of another holder that is believed: a typing error must not stop the operator for days.
const LONGEST_TERM: Duration = Duration::from_secs(600);

/// What a Lease says of its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Which writing of the Lease this is.
    pub version: String,
    /// Who holds it; `None` where it was released.
    pub holder: Option<String>,
    /// How long after its last renewal the holder may be taken for gone.
    pub term: Duration,
}

impl Record {
    /// What `lease` says.
    pub fn of(lease: &Lease) -> Self {
        let spec = lease.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
        let seconds = u64::try_from(seconds.unwrap_or(0)).unwrap_or(0);
        Self {
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
            holder: spec
                .and_then(|spec| spec.holder_identity.clone())
                .filter(|holder| !holder.is_empty()),
            term: Duration::from_secs(seconds).min(LONGEST_TERM),
        }
    }
}

/// The Lease `name` where there was none.
pub(super) fn first(name: &str, namespace: &str, me: &str, term: Duration) -> Lease {
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec: None,
    };
    held(lease, me, term)
}

/// `lease` as it is once `me` holds it. Its resourceVersion stays: the API server refuses the write if somebody else has
/// written meanwhile.
pub(super) fn held(mut lease: Lease, me: &str, term: Duration) -> Lease {
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    let now = MicroTime(Timestamp::now());
    if spec.holder_identity.as_deref() != Some(me) {
        spec.holder_identity = Some(me.to_owned());
        spec.acquire_time = Some(now.clone());
        spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |past| past + 1));
    }
    spec.renew_time = Some(now);
    spec.lease_duration_seconds = Some(i32::try_from(term.as_secs()).unwrap_or(i32::MAX));
    lease
}

/// `lease` as it is once its holder has given it up: the next candidate need not wait.
pub(super) fn released(mut lease: Lease) -> Lease {
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    spec.holder_identity = None;
    spec.renew_time = Some(MicroTime(Timestamp::now()));
    spec.lease_duration_seconds = Some(1);
    lease
}
