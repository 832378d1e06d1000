//! The channel under measurement: open to everyone, with limits that no benchmark reaches.

/// What differs between scenarios.
#[derive(Debug, Clone, Copy)]
pub struct Channel {
    /// Keep history in all rooms.
    pub history: bool,
    /// Seconds between pings.
    pub heartbeat_seconds: u32,
    /// Port of the NATS server, on this machine, on which gateways meet.
    pub nats: Option<u16>,
    /// Streams that the rooms with history are spread over.
    pub partitions: u32,
    /// Secret with the keys of the server APIs.
    pub api_keys: Option<&'static str>,
    /// Serve Socket.IO too.
    pub socket_io: bool,
}

impl Default for Channel {
    fn default() -> Self {
        // 25 s is the default of the schema; written out since the heartbeat reference has to match it.
        Self {
            history: false,
            heartbeat_seconds: 25,
            nats: None,
            partitions: 1,
            api_keys: None,
            socket_io: false,
        }
    }
}

impl Channel {
    /// The manifest.
    pub fn to_yaml(self) -> String {
        let store = match (self.history, self.nats) {
            (false, _) => String::new(),
            (true, None) => "  history: {maxMessagesPerRoom: 100}\n".to_owned(),
            // A hundred messages are a tenth of a second of what goes over NATS: a pause must not become a gap.
            (true, Some(_)) => format!(
                "  history: {{maxMessagesPerRoom: 10000, partitions: {}}}\n",
                self.partitions
            ),
        };
        let mode = if self.history { "Enabled" } else { "Disabled" };
        let broker = self.nats.map_or_else(String::new, |port| {
            format!("  broker: {{nats: {{urls: [\"nats://127.0.0.1:{port}\"]}}}}\n")
        });
        let keys = self
            .api_keys
            .map_or_else(String::new, |name| format!(", apiKeySecretName: {name}"));
        let transports = match self.socket_io {
            true => "  transports: {socketIO: {mode: Enabled}}\n",
            false => "",
        };
        format!(
            "apiVersion: realtime.linnet.dev/v1alpha1
kind: RealtimeChannel
metadata: {{name: bench}}
spec:
  authentication: {{anonymous: Allow{keys}}}
  rooms: [{{match: \"*\", subscribe: Everyone, publish: Everyone, history: {mode}}}]
{store}{broker}{transports}  heartbeat: {{intervalSeconds: {}, timeoutSeconds: {}}}
  limits:
    messagesPerSecond: 100000
    messageBurst: 100000
    connectsPerSecond: 100000
    subscribesPerSecond: 100000
    connectionsPerGateway: 100000
    sendQueueSize: 16Mi
",
            self.heartbeat_seconds,
            self.heartbeat_seconds.min(10)
        )
    }
}
