//! `spec.rooms`: what is allowed in which room.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::object::FreeObject;
use crate::toggle::Toggle;

/// What is allowed in the rooms whose name fits `match`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomRule {
    /// Names of rooms. `*` stands for any run of characters, `{user_id}` for the user's id.
    #[serde(rename = "match")]
    #[schemars(length(min = 1, max = 256))]
    pub pattern: String,

    /// Who may subscribe. Claim: users whose token lists the room.
    #[serde(default)]
    pub subscribe: Access,

    /// Who may publish. Claim: users whose token lists the room. Nobody leaves the server APIs.
    #[serde(default)]
    pub publish: Access,

    /// Whether subscribers see each other.
    #[serde(default)]
    pub presence: Presence,

    /// Enabled keeps messages where the channel has `history`.
    #[serde(default = "enabled")]
    pub history: Toggle,

    /// JSON Schema that the data of every message must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<FreeObject>,

    /// Worker hands published messages to a worker, which decides what the room receives. Needs a
    /// broker, and history.
    #[serde(default)]
    pub delivery: Delivery,
}

impl RoomRule {
    /// The rule that gives the rooms of `pattern` every default.
    #[must_use]
    pub fn new(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            subscribe: Access::default(),
            publish: Access::default(),
            presence: Presence::default(),
            history: enabled(),
            schema: None,
            delivery: Delivery::default(),
        }
    }

    /// The rule behind the last one: every room that no other rule names.
    #[must_use]
    pub fn built_in() -> Self {
        Self::new("*")
    }
}

fn enabled() -> Toggle {
    Toggle::Enabled
}

/// Who may do something in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// Everyone who may connect.
    #[default]
    Everyone,
    /// Users, not anonymous connections.
    Authenticated,
    /// Users whose token lists the room.
    Claim,
    /// No client.
    Nobody,
}

/// Whether subscribers of a room see each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Presence {
    /// Full tells who is there, Count how many. Write "Off" in quotes: kubectl reads the bare word
    /// as false.
    pub mode: PresenceMode,

    /// Above so many members, Full tells only their number.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_members: u32,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            mode: PresenceMode::Off,
            max_members: 1000,
        }
    }
}

/// How much is told about a room's subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PresenceMode {
    /// Nothing.
    #[default]
    Off,
    /// Who they are.
    Full,
    /// How many they are.
    Count,
}

/// The way from a publisher to a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Delivery {
    /// Straight.
    #[default]
    Direct,
    /// Through a worker.
    Worker,
}
