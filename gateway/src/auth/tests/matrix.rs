//! Every rule, verb and kind of client, against a model that is written down as a table and knows nothing of the code.

use linnet_crds::rooms::RoomRule;

use crate::auth::access::{Asker, Verb, Verdict, Verdicts};
use crate::auth::grants::Grants;
use crate::config::{Access, Rules};
use crate::names::RoomName;

const ACCESS: [Access; 4] = [
    Access::Everyone,
    Access::Authenticated,
    Access::Claim,
    Access::Nobody,
];

/// A kind of client: its name, its claim of rooms if it has a token, and what that lets it do in the room `club.a`.
struct Kind {
    name: &'static str,
    rooms: Option<&'static str>,
    listed_subscribe: bool,
    listed_publish: bool,
}

const fn kind(
    name: &'static str,
    rooms: Option<&'static str>,
    listed_subscribe: bool,
    listed_publish: bool,
) -> Kind {
    Kind {
        name,
        rooms,
        listed_subscribe,
        listed_publish,
    }
}

const KINDS: [Kind; 17] = [
    kind("~anonymous", None, false, false),
    kind("ann", Some("null"), false, false),
    kind("ann", Some("[]"), false, false),
    kind("ann", Some("{}"), false, false),
    kind("ann", Some(r#"["club.a"]"#), true, true),
    kind("ann", Some(r#"["club.*"]"#), true, true),
    kind("ann", Some(r#"["*"]"#), true, true),
    kind(
        "ann",
        Some(r#"["club.b", "CLUB.A", "club", "club.a.b"]"#),
        false,
        false,
    ),
    kind("a", Some(r#"["club.{user_id}"]"#), true, true),
    kind("ann", Some(r#"["club.{user_id}"]"#), false, false),
    kind(
        "ann",
        Some(r#"[{"match": "club.a", "allow": ["subscribe"]}]"#),
        true,
        false,
    ),
    kind(
        "ann",
        Some(r#"[{"match": "club.a", "allow": ["publish"]}]"#),
        false,
        true,
    ),
    kind(
        "ann",
        Some(r#"[{"match": "club.a", "allow": []}]"#),
        false,
        false,
    ),
    kind(
        "ann",
        Some(r#"[{"match": "club.a", "allow": ["admin", "*"]}]"#),
        false,
        false,
    ),
    kind(
        "ann",
        Some(r#"{"club.a": ["subscribe"], "club.*": ["publish"]}"#),
        true,
        true,
    ),
    kind(
        "ann",
        Some(r#"{"club.b": ["subscribe", "publish"]}"#),
        false,
        false,
    ),
    kind("*", Some(r#"["x"]"#), false, false),
];

/// What the documentation says: who is let in by which word.
fn model(access: Access, has_token: bool, listed: bool) -> bool {
    let table = [
        // access, anonymous, token without the room, token with it
        (Access::Everyone, [true, true, true]),
        (Access::Authenticated, [false, true, true]),
        (Access::Claim, [false, false, true]),
        (Access::Nobody, [false, false, false]),
    ];
    let row = table.iter().find(|(word, _)| *word == access).unwrap().1;
    match (has_token, listed) {
        (false, _) => row[0],
        (true, false) => row[1],
        (true, true) => row[2],
    }
}

fn rule(pattern: &str, subscribe: Access, publish: Access) -> RoomRule {
    let mut rule = RoomRule::new(pattern);
    rule.subscribe = subscribe;
    rule.publish = publish;
    rule
}

#[test]
fn every_rule_lets_every_kind_of_client_do_what_the_model_says() {
    let room = RoomName::parse("club.a").unwrap();
    let mut tried = 0;
    for pattern in ["club.a", "club.*", "*", "*a", "c*.a"] {
        for subscribe in ACCESS {
            for publish in ACCESS {
                for others in [0, 40] {
                    // Rules before it that do not match, and ones behind it that do: neither decides.
                    let mut rules: Vec<RoomRule> = (0..others)
                        .map(|n| rule(&format!("other.{n}.*"), Access::Nobody, Access::Nobody))
                        .collect();
                    rules.push(rule(pattern, subscribe, publish));
                    rules.push(rule("*", Access::Everyone, Access::Everyone));
                    let rules = Rules::compile(&rules, true);
                    for kind in &KINDS {
                        let grants = kind.rooms.map(|rooms| Grants::parse(rooms).unwrap());
                        let asker = Asker {
                            name: kind.name,
                            grants: grants.as_ref(),
                        };
                        let mut verdicts = Verdicts::default();
                        let verdict = |verdicts: &mut Verdicts| verdicts.of(&rules, &room, asker);
                        let first = verdict(&mut verdicts);
                        assert_eq!(first, verdict(&mut verdicts), "it is remembered as it was");
                        assert_eq!(first, Verdict::of(&rules, room.as_str(), asker));
                        let has_token = kind.rooms.is_some();
                        for (verb, access, listed) in [
                            (Verb::Subscribe, subscribe, kind.listed_subscribe),
                            (Verb::Publish, publish, kind.listed_publish),
                        ] {
                            let expected = model(access, has_token, listed);
                            let who = format!("{} {:?}", kind.name, kind.rooms);
                            assert_eq!(
                                first.allows(verb),
                                expected,
                                "{verb:?} {access:?} {pattern} {who}"
                            );
                            tried += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(tried, 5 * 16 * 2 * 17 * 2);
}

#[test]
fn templates_give_each_user_rooms_of_its_own() {
    let nobody = Access::Nobody;
    let rules = [
        rule("user.{user_id}.*", Access::Authenticated, nobody),
        rule(
            "dm.{user_id}-*",
            Access::Authenticated,
            Access::Authenticated,
        ),
        rule(
            "dm.*-{user_id}",
            Access::Authenticated,
            Access::Authenticated,
        ),
        rule("user.*", nobody, nobody),
        rule("dm.*", nobody, nobody),
    ];
    let rules = Rules::compile(&rules, true);
    let grants = Grants::default();
    let may = |name: &str, room: &str| {
        let asker = Asker {
            name,
            grants: Some(&grants),
        };
        let verdict = Verdict::of(&rules, room, asker);
        (
            verdict.allows(Verb::Subscribe),
            verdict.allows(Verb::Publish),
        )
    };
    for (name, room, expected) in [
        ("ann", "user.ann.alerts", (true, false)),
        ("bob", "user.ann.alerts", (false, false)),
        ("ann", "user.anna.alerts", (false, false)),
        ("*", "user.ann.alerts", (false, false)),
        ("ann", "dm.ann-bob", (true, true)),
        ("bob", "dm.ann-bob", (true, true)),
        ("eve", "dm.ann-bob", (false, false)),
        ("{user_id}", "dm.ann-bob", (false, false)),
        ("", "dm.ann-bob", (false, false)),
    ] {
        assert_eq!(may(name, room), expected, "{name} in {room}");
    }
}

#[test]
fn what_was_said_is_forgotten_when_asked_to_and_when_much_else_was() {
    let closed: Vec<RoomRule> = (0..20)
        .map(|n| rule(&format!("a{n}"), Access::Nobody, Access::Nobody))
        .collect();
    let (closed, open) = (Rules::compile(&closed, true), Rules::compile(&[], true));
    let asker = Asker {
        name: "ann",
        grants: None,
    };
    let room = |n: usize| RoomName::parse(&format!("a{n}")).unwrap();
    let mut verdicts = Verdicts::default();
    let may = |verdicts: &mut Verdicts, rules: &Rules| {
        verdicts.of(rules, &room(0), asker).allows(Verb::Subscribe)
    };
    assert!(!may(&mut verdicts, &closed));
    for n in 0..100 {
        verdicts.of(&closed, &room(n % 20), asker);
    }
    assert!(!may(&mut verdicts, &closed));
    verdicts.forget();
    assert!(may(&mut verdicts, &open));
}
