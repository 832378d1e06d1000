//! What is in a message arrives as it was sent, in the room that it was sent to.

use std::sync::Arc;

use linnet_gateway::message::{Message, Payload};
use linnet_gateway::names::{ConnectionId, UserId};

use super::Factory;
use super::driver::{Driver, message, number, read_number};

/// JSON that would not survive being read and written again.
const JSON: [&str; 8] = [
    "9007199254740993",
    "123456789012345678901234567890.00e-0",
    "{ \"b\" : 1,\t\"a\" :\n[ ] , \"b\":2 }",
    r#""line\nbreak, \"quotes\", \u00e9 and é""#,
    "\"🐦 ünï©ødé \u{202e} \\u0000\"",
    r#""NATS/1.0\r\nNats-Msg-Id: x\r\n\r\n""#,
    "null",
    r#""""#,
];

/// Names that look like subjects, commands or nothing.
fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "a.b",
        "a.b.c",
        "a",
        ".",
        "..",
        "a.",
        ".a",
        "*",
        ">",
        "a.*",
        "a.>",
        "$JS.API",
        "$JS.API.>",
        "$SYS",
        "_INBOX.x",
        " ",
        "two words",
        " a",
        "a ",
        "🐦",
        "ünï",
        "r_a",
        "b_YQ",
        "h_x",
        "A",
        "%2e",
        "\\",
        "\"",
        "'",
        "-",
        "_",
        "+",
        "/",
        "#",
        "a/b",
    ]
    .map(str::to_owned)
    .into();
    // Around the lengths at which a token's form changes, and the longest.
    for length in [63, 64, 65, 127, 128, 129, 255, 256] {
        names.push("x".repeat(length));
        names.push("é".repeat(length / 2));
        names.push(".".repeat(length));
    }
    names.sort();
    names.dedup();
    names
}

/// A room with history and one without, in two channels.
struct Both {
    kept: Driver,
    passed: Driver,
}

impl Both {
    async fn watching(factory: &impl Factory) -> Self {
        Self {
            kept: Driver::in_rooms(factory, &["r"], true).await,
            passed: Driver::in_rooms(factory, &["r"], false).await,
        }
    }
}

/// Sends `message` with history and without, and gives what arrives.
async fn both_ways(both: &mut Both, sent: &Message) -> [Arc<Message>; 2] {
    both.kept.store(sent.clone(), None).await;
    both.passed.pass(sent.clone()).await;
    [both.kept.message("r").await, both.passed.message("r").await]
}

/// JSON is passed on without being read.
pub async fn json_text_survives_byte_for_byte(factory: &impl Factory) {
    let mut driver = Both::watching(factory).await;
    for text in JSON {
        let data = Payload::Json(text.into());
        for came in both_ways(&mut driver, &message("r", data.clone())).await {
            assert_eq!(came.data, data);
        }
    }
}

/// Text is not JSON, and bytes are not text, whatever is in them.
pub async fn text_and_bytes_stay_what_they_are(factory: &impl Factory) {
    let mut driver = Both::watching(factory).await;
    let bytes: Vec<u8> = (0..=255).collect();
    for data in [
        Payload::Text("123".into()),
        Payload::Text("\"quoted\"\r\n\r\n\0".into()),
        Payload::Text("".into()),
        Payload::Binary(bytes.into()),
        Payload::Binary("text".as_bytes().into()),
        Payload::Binary([].into()),
    ] {
        for came in both_ways(&mut driver, &message("r", data.clone())).await {
            assert_eq!(came.data, data);
        }
    }
}

/// Nothing that a publisher says gets lost or changes its meaning on the way.
pub async fn all_fields_of_a_message_survive(factory: &impl Factory) {
    let mut driver = Both::watching(factory).await;
    let users = [
        UserId::from_token("ann").unwrap(),
        UserId::from_token("ünï: two words, \"quotes\" 🐦").unwrap(),
        UserId::from_token(&"x".repeat(256)).unwrap(),
        UserId::anonymous(ConnectionId::random()),
    ];
    let events = [
        "chat",
        "line\nbreak\r\nNats-Msg-Id: x\r\n\r\n",
        "\"quotes\" and \\",
        "ünï 🐦 ",
        "Nats-Expected-Stream",
        "",
    ];
    let infos = [
        r#"{"name":"Ann \"A\" \n🐦","n":9007199254740993}"#,
        "\"\"",
        "{ }",
    ];
    for (n, from) in users.iter().cycle().take(12).enumerate() {
        let sent = Message {
            from: Some(from.clone()),
            event: Some(events[n % events.len()].into()),
            info: Some(infos[n % infos.len()].into()),
            skip: Some(ConnectionId::random()),
            ..number("r", 1)
        };
        for came in both_ways(&mut driver, &sent).await {
            assert_eq!(came.room, sent.room);
            assert_eq!(came.from, sent.from);
            assert_eq!(came.event, sent.event);
            assert_eq!(came.info, sent.info);
            assert_eq!(came.skip, sent.skip);
        }
    }
}

/// Absent is not empty.
pub async fn an_absent_field_stays_absent(factory: &impl Factory) {
    let mut driver = Both::watching(factory).await;
    for came in both_ways(&mut driver, &number("r", 1)).await {
        assert_eq!((&came.event, &came.info, came.skip), (&None, &None, None));
    }
}

/// A name that means something to a broker is only a name.
pub async fn odd_room_names_stay_in_their_room_with_history(factory: &impl Factory) {
    odd_room_names_stay_in_their_room(factory, true).await;
}

/// [`odd_room_names_stay_in_their_room_with_history`], without history.
pub async fn odd_room_names_stay_in_their_room_without_history(factory: &impl Factory) {
    odd_room_names_stay_in_their_room(factory, false).await;
}

async fn odd_room_names_stay_in_their_room(factory: &impl Factory, stored: bool) {
    let names = odd_names();
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut driver = Driver::in_rooms(factory, &refs, stored).await;
    for (n, name) in (0..).zip(&refs) {
        let token = driver.publish(number(name, n), stored, None);
        driver.receipt(token).await;
    }
    for (n, name) in (0..).zip(&refs) {
        assert_eq!(read_number(&*driver.message(name).await), n, "in {name:?}");
    }
    // A second round: whatever had come twice, or elsewhere too, would come before it.
    for (n, name) in (1000..).zip(&refs) {
        let token = driver.publish(number(name, n), stored, None);
        driver.receipt(token).await;
        assert_eq!(read_number(&*driver.message(name).await), n, "in {name:?}");
    }
}

/// Long names that differ in their last character only are two rooms.
pub async fn rooms_whose_names_begin_alike_are_told_apart(factory: &impl Factory) {
    let names = ["a", "b"].map(|end| "x".repeat(255) + end);
    for stored in [true, false] {
        let mut driver = Driver::in_rooms(factory, &[&names[0], &names[1]], stored).await;
        for (n, name) in (0..).zip(&names) {
            driver.publish(number(name, n), stored, None);
        }
        for (n, name) in (0..).zip(&names) {
            assert_eq!(read_number(&*driver.message(name).await), n);
        }
    }
}

/// `limits.messageSize` by default, with the largest of everything around it.
pub async fn the_largest_message_arrives(factory: &impl Factory) {
    let name = "é".repeat(128);
    let data = Payload::Binary(vec![255; 64 * 1024].into());
    let sent = Message {
        from: UserId::from_token(&"x".repeat(256)),
        info: Some(format!("{:?}", "i".repeat(1022)).into()),
        event: Some("e".repeat(64).into()),
        skip: Some(ConnectionId::random()),
        ..message(&name, data)
    };
    for stored in [true, false] {
        let mut driver = Driver::in_rooms(factory, &[&name], stored).await;
        let token = driver.publish(sent.clone(), stored, None);
        driver.receipt(token).await;
        let came = driver.message(&name).await;
        assert_eq!(came.data, sent.data);
        assert_eq!((&came.event, &came.info), (&sent.event, &sent.info));
    }
}
