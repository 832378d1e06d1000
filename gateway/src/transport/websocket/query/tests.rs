use proptest::prelude::*;

use super::*;

fn parsed(query: &str) -> Query {
    Query::parse(query).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(query: &str) -> QueryError {
    Query::parse(query)
        .err()
        .expect("this query must be refused")
}

#[test]
fn nothing_asked_is_echo_and_no_more() {
    let query = parsed("");
    assert!(query.echo);
    assert!(
        query.room.is_none()
            && query.protocol.is_none()
            && query.name.is_none()
            && query.token.is_none()
    );
}

#[test]
fn everything_may_be_asked_in_any_order() {
    let query = parsed("name=Ann&echo=false&token=a.b.c&protocol=plain&room=lobby");
    assert_eq!(query.room.as_deref(), Some("lobby"));
    assert_eq!(query.protocol.as_deref(), Some("plain"));
    assert_eq!(query.name.as_deref(), Some("Ann"));
    assert_eq!(query.token.as_deref(), Some("a.b.c"));
    assert!(!query.echo);
}

#[test]
fn percent_encoding_and_plus_are_undone() {
    assert_eq!(
        parsed("room=gr%C3%BC%c3%9fe+%2B%26%3D").room.as_deref(),
        Some("grüße +&=")
    );
    assert_eq!(parsed("room=grüße").room.as_deref(), Some("grüße"));
    assert_eq!(parsed("r%6Fom=a=b").room.as_deref(), Some("a=b"));
}

#[test]
fn unknown_parameters_are_ignored_whatever_they_are() {
    assert_eq!(
        parsed("x=%zz&%=1&&utm=%FF&room=a&x").room.as_deref(),
        Some("a")
    );
}

#[test]
fn broken_encoding_is_refused_by_name() {
    for value in ["%", "%4", "%zz", "%+1", "%FF", "%C3", "%ED%A0%80"] {
        assert_eq!(
            refused(&format!("room={value}")),
            QueryError::Encoding("room"),
            "{value}"
        );
    }
}

#[test]
fn a_parameter_given_twice_is_refused() {
    assert_eq!(refused("room=a&room=a"), QueryError::Repeated("room"));
    assert_eq!(refused("token=a&token=b"), QueryError::Repeated("token"));
}

#[test]
fn a_room_has_1_to_256_bytes_without_control_characters() {
    assert_eq!(
        parsed(&format!("room={}", "x".repeat(256)))
            .room
            .unwrap()
            .len(),
        256
    );
    for room in [
        "",
        "%00",
        "a%0Ab",
        "%7F",
        "%C2%85",
        &"x".repeat(257),
        &"ü".repeat(129),
    ] {
        assert_eq!(refused(&format!("room={room}")), QueryError::Room, "{room}");
    }
    assert_eq!(refused("room"), QueryError::Room);
}

#[test]
fn echo_is_true_or_false() {
    assert!(parsed("echo=true").echo);
    for echo in ["", "0", "False", "no"] {
        assert_eq!(refused(&format!("echo={echo}")), QueryError::Echo);
    }
}

#[test]
fn a_name_fits_the_info_it_becomes() {
    assert_eq!(
        parsed(&format!("name={}", "x".repeat(1013)))
            .name
            .unwrap()
            .len(),
        1013
    );
    assert_eq!(
        refused(&format!("name={}", "x".repeat(1014))),
        QueryError::Name
    );
    assert_eq!(
        refused(&format!("name=%22{}", "x".repeat(1012))),
        QueryError::Name,
        "a quote takes two bytes"
    );
    assert_eq!(refused("name="), QueryError::Name);
    assert_eq!(refused("name=a%0A"), QueryError::Name);
}

proptest! {
    #[test]
    fn any_room_encoded_as_browsers_do_arrives(room in "\\PC{1,60}") {
        let encoded: String = room.bytes().map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        }).collect();
        prop_assume!(is_room(&room));
        prop_assert_eq!(parsed(&format!("room={encoded}")).room, Some(room));
    }

    #[test]
    fn any_query_is_read_or_refused(query in "((room|echo|name|protocol|x)=?[%a-f0-9+=\\PC]{0,8}&?){0,4}") {
        let _ = Query::parse(&query);
    }
}
