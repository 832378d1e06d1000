//! The gateways' configuration.
//!
//! One object that changes, not one for each configuration: running gateways take a change up from their mount.

use k8s_openapi::api::core::v1::ConfigMap;
use linnet_gateway::config::document;

use super::meta;
use crate::children::Child;
use crate::names;
use crate::validate::Validated;

/// Builds the ConfigMap.
#[must_use]
pub fn build(channel: &Validated) -> ConfigMap {
    let mut metadata = meta::of(Child::ConfigMap, channel);
    let hash = (names::CONFIGURATION.to_owned(), channel.hash.clone());
    metadata.annotations = Some([hash].into());
    ConfigMap {
        metadata,
        data: Some([(document::FILE.to_owned(), channel.document.clone())].into()),
        ..ConfigMap::default()
    }
}

/// Puts a record of the channel's streams beside the configuration.
pub fn record(config_map: &mut ConfigMap, record: Option<String>) {
    if let Some(record) = record {
        let annotations = config_map.metadata.annotations.get_or_insert_default();
        annotations.insert(names::STREAMS.to_owned(), record);
    }
}
