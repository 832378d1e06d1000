//! What is spoken, by header and query.

use super::*;

#[test]
fn the_first_known_subprotocol_is_chosen() {
    let offer = (
        "sec-websocket-protocol",
        "mqtt, linnet.v1.plain, linnet.v1.json",
    );
    let accepted = accepted("room=a", &headers(&[offer]), &CONFIG);
    assert_eq!(
        (accepted.subprotocol, accepted.protocol),
        (Some("linnet.v1.plain"), 1)
    );
}

#[test]
fn subprotocols_may_come_in_several_headers() {
    let offers = [
        ("sec-websocket-protocol", "mqtt"),
        ("sec-websocket-protocol", "linnet.v1.json"),
    ];
    assert_eq!(
        accepted("", &headers(&offers), &CONFIG).subprotocol,
        Some("linnet.v1.json")
    );
}

#[test]
fn only_unknown_subprotocols_are_told_what_is_accepted() {
    let refused = refused(
        "",
        &headers(&[("sec-websocket-protocol", "mqtt, LINNET.V1.JSON")]),
        &CONFIG,
    );
    assert_eq!(
        (refused.status.as_u16(), refused.reason),
        (400, "subprotocol")
    );
    assert!(
        refused.body.contains("linnet.v1.json, linnet.v1.plain"),
        "{}",
        refused.body
    );
}

#[test]
fn the_query_chooses_the_protocol_where_no_header_does() {
    let accepted = accepted(
        "protocol=plain&room=lobby&echo=false&name=Ann",
        &headers(&[]),
        &CONFIG,
    );
    assert_eq!((accepted.subprotocol, accepted.protocol), (None, 1));
    assert_eq!(
        (accepted.room.as_deref(), accepted.name.as_deref()),
        (Some("lobby"), Some("Ann"))
    );
    assert!(!accepted.echo);
}

#[test]
fn a_faulty_query_is_400_in_words() {
    for (query, word) in [
        ("protocol=xml", "json, plain"),
        ("protocol=plain", "?room="),
        ("room=", "room"),
        ("room=%FF", "UTF-8"),
        ("echo=maybe", "true or false"),
    ] {
        let refused = refused(query, &headers(&[]), &CONFIG);
        assert_eq!(
            (refused.status.as_u16(), refused.reason),
            (400, "query"),
            "{query}"
        );
        assert!(refused.body.contains(word), "{}", refused.body);
    }
}

#[test]
fn header_and_query_may_agree_on_the_protocol_but_not_disagree() {
    let headers = headers(&[("sec-websocket-protocol", "linnet.v1.json")]);
    assert_eq!(accepted("protocol=json", &headers, &CONFIG).protocol, 0);
    assert_eq!(
        refused("protocol=plain&room=a", &headers, &CONFIG).reason,
        "query"
    );
}
