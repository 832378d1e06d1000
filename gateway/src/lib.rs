//! The data plane of Linnet: serves one RealtimeChannel.
