//! `spec.rooms`: which rule covers a room, and what it allows.

use std::sync::Arc;

use linnet_crds::data::DataSchema;
pub use linnet_crds::rooms::{Access, PresenceMode};
use linnet_crds::rooms::{Delivery, RoomRule};

use super::pattern::Pattern;

/// All rules of a channel; the first that matches covers a room, a built-in last one covers all others.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    last: Rule,
}

/// One compiled rule.
#[derive(Debug)]
pub struct Rule {
    pattern: Pattern,
    /// Who may subscribe, and so see presence and history.
    pub subscribe: Access,
    /// Who may publish.
    pub publish: Access,
    /// What is told of who is in the room.
    pub presence: PresenceMode,
    /// Members beyond which `Full` becomes `Count`.
    pub max_members: usize,
    /// Whether the room keeps messages.
    pub history: bool,
    /// Whether what is published goes to a worker, and only its output to the room.
    pub worker: bool,
    /// What the data of messages that clients publish must fit.
    pub schema: Option<Arc<DataSchema>>,
}

impl Rules {
    /// Compiles `spec.rooms`.
    pub fn compile(rules: &[RoomRule], channel_has_history: bool) -> Self {
        Self {
            rules: rules
                .iter()
                .map(|rule| Rule::compile(rule, channel_has_history))
                .collect(),
            last: Rule::compile(&RoomRule::built_in(), channel_has_history),
        }
    }

    /// The rule that decides what `user` may do in `room`.
    pub fn for_user(&self, room: &str, user: &str) -> &Rule {
        self.first(|pattern| pattern.matches(room, Some(user)))
    }

    /// The rule that decides what the room itself is (history, presence), the same for every user: a `{user_id}` stands
    /// for any user here.
    pub fn for_room(&self, room: &str) -> &Rule {
        self.first(|pattern| pattern.matches(room, None))
    }

    /// Whether somebody may do something in some room whose name begins with `prefix` and goes on behind it.
    pub fn reach(&self, prefix: &str) -> bool {
        for rule in self.rules.iter().chain([&self.last]) {
            if !rule.pattern.reaches(prefix) {
                continue;
            }
            if rule.subscribe != Access::Nobody || rule.publish != Access::Nobody {
                return true;
            }
            if rule.pattern.covers(prefix) {
                return false; // no later rule is asked
            }
        }
        false
    }

    /// How many rules there are, the built-in one aside.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none but the built-in one.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether what is published to any room goes to a worker.
    pub fn any_worker(&self) -> bool {
        self.rules.iter().any(|rule| rule.worker)
    }

    /// Whether what is published to a room goes to a worker.
    pub fn has_worker(&self, room: &str) -> bool {
        self.any_worker() && self.for_room(room).worker
    }

    /// Whether both keep messages in the same rooms.
    pub fn keep_alike(&self, other: &Self) -> bool {
        let shape = |rules: &Self| {
            let all = rules.rules.iter().chain([&rules.last]);
            all.map(|rule| (rule.pattern.clone(), rule.history))
                .collect::<Vec<_>>()
        };
        shape(self) == shape(other)
    }

    fn first(&self, matches: impl Fn(&Pattern) -> bool) -> &Rule {
        self.rules
            .iter()
            .find(|rule| matches(&rule.pattern))
            .unwrap_or(&self.last)
    }
}

impl Rule {
    fn compile(rule: &RoomRule, channel_has_history: bool) -> Self {
        let history = channel_has_history && rule.history.is_enabled();
        let compiled = rule
            .schema
            .as_ref()
            .map(|schema| DataSchema::compile(&schema.0));
        // A manifest with a schema that can't be used is refused before it comes here. If one came all the same, nobody
        // publishes, rather than anybody anything.
        let (schema, publish) = match compiled.transpose() {
            Ok(schema) => (schema.map(Arc::new), rule.publish),
            Err(fault) => {
                tracing::error!(%fault, pattern = rule.pattern, "a room's schema can't be used");
                (None, Access::Nobody)
            }
        };
        Self {
            pattern: Pattern::parse(&rule.pattern),
            subscribe: rule.subscribe,
            publish,
            presence: rule.presence.mode,
            max_members: rule.presence.max_members as usize,
            history,
            // Without history there is no place for a worker's output.
            worker: history && rule.delivery == Delivery::Worker,
            schema,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_wins_and_a_built_in_one_covers_the_rest() {
        let mut closed = RoomRule::new("closed.*");
        closed.publish = Access::Nobody;
        let rules = Rules::compile(&[closed, RoomRule::new("closed.open")], true);
        assert_eq!(rules.for_room("closed.open").publish, Access::Nobody);
        assert_eq!(rules.for_room("other").publish, Access::Everyone);
    }

    #[test]
    fn a_prefix_is_reached_where_somebody_may_do_something_behind_it() {
        let rule = |pattern: &str, access: Access| {
            let mut rule = RoomRule::new(pattern);
            (rule.subscribe, rule.publish) = (access, Access::Nobody);
            rule
        };
        let (yes, no) = (Access::Claim, Access::Nobody);
        let rules = |list: &[(&str, Access)]| {
            let list: Vec<_> = list
                .iter()
                .map(|(name, access)| rule(name, *access))
                .collect();
            Rules::compile(&list, true)
        };
        assert!(rules(&[]).reach("chat/"), "the built-in rule lets everyone");
        let some = rules(&[("chat/*", yes), ("*", no)]);
        assert!(some.reach("chat/") && some.reach("") && !some.reach("other/"));
        let later = rules(&[("chat/secret", no), ("chat/*", yes), ("*", no)]);
        assert!(later.reach("chat/"));
        let shut = rules(&[("chat/*", no), ("chat/open", yes)]);
        assert!(!shut.reach("chat/"), "the first rule that matches wins");
        assert!(shut.reach("other/"));
    }

    #[test]
    fn a_worker_stands_behind_the_rooms_of_its_rule_only() {
        let mut worked = RoomRule::new("worked.*");
        worked.delivery = Delivery::Worker;
        let rules = Rules::compile(std::slice::from_ref(&worked), true);
        assert!(rules.has_worker("worked.a") && !rules.has_worker("a"));
        assert!(!Rules::compile(&[worked], false).any_worker());
        assert!(!Rules::compile(&[], true).any_worker());
    }

    #[test]
    fn a_schema_is_compiled_with_its_rule_and_one_that_cannot_be_used_lets_nobody_publish() {
        let with = |schema: serde_json::Value| {
            let mut rule = RoomRule::new("a");
            rule.schema = serde_json::from_value(schema).unwrap();
            Rules::compile(&[rule], true)
        };
        let good = with(serde_json::json!({"type": "string"}));
        assert!(good.for_room("a").schema.is_some() && good.for_room("b").schema.is_none());
        let bad = with(serde_json::json!({"$ref": "https://example.com"}));
        assert_eq!(bad.for_room("a").publish, Access::Nobody);
    }

    #[test]
    fn history_needs_the_channels_history() {
        assert!(Rules::compile(&[], true).for_room("x").history);
        assert!(!Rules::compile(&[], false).for_room("x").history);
    }
}
