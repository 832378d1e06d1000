use super::*;

const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn window(offer: &str) -> Option<u8> {
    negotiate([offer]).map(|negotiated| negotiated.server_window_bits)
}

#[test]
fn a_plain_offer_is_accepted_without_context_takeover() {
    let expected = Negotiated {
        server_window_bits: 15,
        response: PLAIN.to_owned(),
    };
    assert_eq!(negotiate(["permessage-deflate"]), Some(expected));
}

#[test]
fn what_browsers_offer_is_accepted_without_an_answer_about_their_window() {
    assert_eq!(
        negotiate(["permessage-deflate; client_max_window_bits"])
            .unwrap()
            .response,
        PLAIN
    );
}

#[test]
fn a_window_that_is_asked_for_is_answered() {
    let negotiated = negotiate(["permessage-deflate; server_max_window_bits=10"]).unwrap();
    assert_eq!(negotiated.server_window_bits, 10);
    assert_eq!(
        negotiated.response,
        format!("{PLAIN}; server_max_window_bits=10")
    );
}

#[test]
fn windows_from_512_bytes_to_32_kib_are_honoured() {
    for bits in 9..=15 {
        assert_eq!(
            window(&format!(
                "permessage-deflate; server_max_window_bits={bits}"
            )),
            Some(bits)
        );
    }
}

#[test]
fn a_window_of_256_bytes_is_declined_for_the_server_but_not_for_the_client() {
    assert_eq!(window("permessage-deflate; server_max_window_bits=8"), None);
    assert_eq!(
        window("permessage-deflate; client_max_window_bits=8"),
        Some(15)
    );
}

#[test]
fn the_first_offer_that_can_be_met_is_accepted() {
    let offers = "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=11, permessage-deflate";
    assert_eq!(window(offers), Some(11));
    assert_eq!(
        negotiate(["x-webkit-deflate-frame", "permessage-deflate"])
            .unwrap()
            .server_window_bits,
        15
    );
}

#[test]
fn values_may_be_quoted() {
    assert_eq!(
        window(r#"permessage-deflate; server_max_window_bits="12""#),
        Some(12)
    );
    assert_eq!(
        window(r#"permessage-deflate; server_max_window_bits="1\2""#),
        Some(12)
    );
    assert_eq!(
        window(r#"other; say="a, permessage-deflate; \"b\"", permessage-deflate"#),
        Some(15)
    );
    assert_eq!(window(r#"other; say="a, permessage-deflate""#), None);
}

#[test]
fn names_are_read_in_any_case_and_spacing() {
    assert_eq!(
        window(" Permessage-Deflate ;Server_Max_Window_Bits = 9 ,"),
        Some(9)
    );
    assert_eq!(window(", ,permessage-deflate"), Some(15));
}

#[test]
fn an_offer_with_a_parameter_that_is_wrong_is_declined() {
    for parameters in [
        "unknown",
        "server_max_window_bits",
        "server_max_window_bits=16",
        "server_max_window_bits=7",
        "server_max_window_bits=010",
        "server_max_window_bits=+9",
        "client_max_window_bits=0",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "client_max_window_bits; client_max_window_bits",
        "server_no_context_takeover; SERVER_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
    ] {
        let offer = format!("permessage-deflate; {parameters}");
        assert_eq!(window(&offer), None, "{offer}");
        assert_eq!(
            window(&format!("{offer}, permessage-deflate")),
            Some(15),
            "the next offer still counts"
        );
    }
}

#[test]
fn a_header_that_cannot_be_read_is_no_offer() {
    for header in [
        "",
        ",",
        "permessage-deflate;",
        "permessage-deflate; =",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"9",
        "permessage-deflate; server_max_window_bits=\"9\\",
        "other extension, permessage-deflate",
        "öther, permessage-deflate",
        "; permessage-deflate",
    ] {
        assert_eq!(window(header), None, "{header}");
    }
    assert_eq!(
        negotiate(["broken;", "permessage-deflate"])
            .unwrap()
            .response,
        PLAIN
    );
}

#[test]
fn no_offer_is_no_compression() {
    assert_eq!(negotiate([]), None);
    assert_eq!(negotiate(["permessage-bzip2, x-deflate"]), None);
}
