//! The RealtimeChannel API of Linnet: types, schema and offline validation.
