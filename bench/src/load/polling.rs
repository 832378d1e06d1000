//! A Socket.IO client by long-polling, on one connection: a poll is answered, what is to be said is posted, and it polls
//! again. Without IO.

use super::{
    handshake,
    plan::Plan,
    socketio::{self, Packet},
};

/// Where it connects.
const PATH: &str = "/socket.io/?EIO=4&transport=polling";

/// What is done with a packet: gives what is said to it.
type Heard<'a> = dyn FnMut(Packet, &[u8]) -> Result<Option<Vec<u8>>, String> + 'a;

/// One client.
#[derive(Debug, Default)]
pub(super) struct Poller {
    sid: String,
    step: Step,
}

/// What is awaited.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The session's open packet.
    #[default]
    Opening,
    /// That something posted was taken.
    Posting,
    /// The answer to a poll.
    Polling,
}

/// An answer of the server, whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    /// Its packets, each with its separator.
    body: &'a [u8],
    /// Its length on the wire.
    pub(super) wire: usize,
}

impl<'a> Answer<'a> {
    /// The first answer in `bytes`; `None` while it is incomplete.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, String> {
        let Some(head) = handshake::head_len(bytes) else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes[..head]);
        let length = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok());
        let first = text.lines().next().unwrap_or_default();
        let Some(length) = length.filter(|_| first.starts_with("HTTP/1.1 200 ")) else {
            return Err(format!("a poll was answered with {first}"));
        };
        Ok(bytes[head..].get(..length).map(|body| Self {
            body,
            wire: head + length,
        }))
    }
}

impl Poller {
    /// The request that opens the session.
    pub(super) fn open(plan: &Plan) -> Vec<u8> {
        get(plan, PATH)
    }

    /// Takes an answer, tells `heard` each packet, and gives the next request.
    pub(super) fn take(
        &mut self,
        answer: &Answer<'_>,
        plan: &Plan,
        heard: &mut Heard<'_>,
    ) -> Result<Vec<u8>, String> {
        if self.step == Step::Posting {
            if answer.body != b"ok" {
                return Err("what was posted was not taken".to_owned());
            }
            self.step = Step::Polling;
            return Ok(self.poll(plan));
        }
        let mut say = Vec::new();
        for packet in answer.body.split(|&byte| byte == 0x1e) {
            let what = Packet::of(packet);
            if what == Packet::Opened {
                self.sid = sid(packet).ok_or("a session without a sid")?;
            }
            if let Some(words) = heard(what, packet)? {
                if !say.is_empty() {
                    say.push(0x1e);
                }
                say.extend_from_slice(&words);
            }
        }
        self.step = match say.is_empty() {
            true => Step::Polling,
            false => Step::Posting,
        };
        Ok(match say.is_empty() {
            true => self.poll(plan),
            false => self.post(plan, &say),
        })
    }

    fn poll(&self, plan: &Plan) -> Vec<u8> {
        get(plan, &format!("{PATH}&sid={}", self.sid))
    }

    fn post(&self, plan: &Plan, body: &[u8]) -> Vec<u8> {
        let mut request = format!(
            "POST {PATH}&sid={} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
            self.sid,
            plan.address,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        request
    }
}

fn get(plan: &Plan, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", plan.address).into_bytes()
}

/// The session's id in its open packet.
fn sid(packet: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Open {
        sid: String,
    }
    let open: Open = serde_json::from_slice(packet.get(1..)?).ok()?;
    Some(open.sid)
}

/// What a client says to what it has heard until it is ready, and to pings.
pub(super) fn reply(packet: Packet, joins: &dyn Fn() -> Vec<String>) -> Option<Vec<u8>> {
    match packet {
        Packet::Opened => Some(socketio::CONNECT.to_vec()),
        Packet::Ping => Some(socketio::PONG.to_vec()),
        Packet::Connected => Some(joins().join("\u{1e}").into_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Protocol;

    fn plan() -> Plan {
        Plan::new("127.0.0.1:1".parse().unwrap(), Protocol::Polling, "r", 1)
    }

    fn answered(body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    /// What it asks next, and what it has heard.
    fn takes(poller: &mut Poller, body: &str) -> (String, Vec<Packet>) {
        let bytes = answered(body);
        let answer = Answer::parse(&bytes).unwrap().unwrap();
        let mut heard = Vec::new();
        let next = poller.take(&answer, &plan(), &mut |packet, _| {
            heard.push(packet);
            Ok(reply(packet, &|| vec![socketio::join(1, "r")]))
        });
        (String::from_utf8(next.unwrap()).unwrap(), heard)
    }

    #[test]
    fn a_client_opens_enters_joins_and_polls_on() {
        let mut poller = Poller::default();
        let (next, _) = takes(&mut poller, r#"0{"sid":"abc"}"#);
        assert!(
            next.starts_with("POST ") && next.contains("&sid=abc ") && next.ends_with("\r\n\r\n40")
        );
        assert!(takes(&mut poller, "ok").0.starts_with("GET "));
        let (next, heard) = takes(&mut poller, "40{}\u{1e}42[\"connected\",{}]");
        assert!(next.ends_with(r#"421["join","r"]"#), "{next}");
        assert_eq!(heard, [Packet::Connected, Packet::Event]);
        assert!(takes(&mut poller, "ok").0.starts_with("GET "));
        let (next, heard) = takes(
            &mut poller,
            "431[{}]\u{1e}42[\"message\",1]\u{1e}42[\"message\",2]",
        );
        assert!(next.starts_with("GET "));
        assert_eq!(
            heard,
            [Packet::Acknowledged, Packet::Message, Packet::Message]
        );
        assert!(takes(&mut poller, "2").0.ends_with("\r\n\r\n3"));
    }

    #[test]
    fn an_answer_is_taken_when_it_is_whole_and_good() {
        let bytes = answered("2");
        assert_eq!(Answer::parse(&bytes[..bytes.len() - 1]), Ok(None));
        assert_eq!(Answer::parse(&bytes).unwrap().unwrap().wire, bytes.len());
        assert!(Answer::parse(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").is_err());
    }
}
