//! The channel under measurement: open to everyone, with limits that no benchmark reaches.

/// What differs between scenarios.
#[derive(Debug, Clone, Copy)]
pub struct Channel {
    /// Keep history in all rooms.
    pub history: bool,
    /// Seconds between pings.
    pub heartbeat_seconds: u32,
}

impl Default for Channel {
    fn default() -> Self {
        // 25 s is the default of the schema; written out since the heartbeat reference has to match it.
        Self {
            history: false,
            heartbeat_seconds: 25,
        }
    }
}

impl Channel {
    /// The manifest.
    pub fn to_yaml(self) -> String {
        let (mode, store) = if self.history {
            ("Enabled", "  history: {maxMessagesPerRoom: 100}\n")
        } else {
            ("Disabled", "")
        };
        format!(
            "apiVersion: realtime.linnet.dev/v1alpha1
kind: RealtimeChannel
metadata: {{name: bench}}
spec:
  authentication: {{anonymous: Allow}}
  rooms: [{{match: \"*\", subscribe: Everyone, publish: Everyone, history: {mode}}}]
{store}  heartbeat: {{intervalSeconds: {}, timeoutSeconds: {}}}
  limits:
    messagesPerSecond: 100000
    messageBurst: 100000
    connectsPerSecond: 100000
    connectionsPerGateway: 100000
    sendQueueSize: 16Mi
",
            self.heartbeat_seconds,
            self.heartbeat_seconds.min(10)
        )
    }
}
