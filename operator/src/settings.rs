//! What holds for all channels of an installation.

use linnet_crds::broker::Broker;
use linnet_crds::gateway::ImagePullPolicy;

/// What holds for all channels of an installation, from the operator's flags.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Image of gateways whose channel names none.
    pub gateway_image: String,
    /// When it is pulled; `None`: as Kubernetes decides from the tag.
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// First part of the names of what channels have on NATS.
    pub subject_prefix: String,
    /// Broker of channels that name none; `None`: they are embedded.
    pub default_broker: Option<Broker>,
    /// Namespace of the operator's pods; `None` outside a cluster.
    pub operator_namespace: Option<String>,
}

#[cfg(test)]
impl Settings {
    /// An installation without a broker.
    pub(crate) fn plain() -> Self {
        Self {
            gateway_image: "linnet-gateway:test".into(),
            image_pull_policy: None,
            subject_prefix: "linnet".into(),
            default_broker: None,
            operator_namespace: Some("linnet-system".into()),
        }
    }
}
