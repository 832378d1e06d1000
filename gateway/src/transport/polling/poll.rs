//! A request that waits until there is something to tell.

use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt;
use http::Response;
use http::header::{CONNECTION, HeaderValue};
use tokio::time::sleep;

use super::packets::{Packet, Packets, body_of};
use super::session::{Mouth, Phase, Place, Session, Sessions};
use super::text;
use crate::protocol::engineio::Refused;
use crate::transport::http::{Lease, Public, Refusal};
use crate::transport::shard::wire::{Line, Wire, WireFrame};

/// Bytes of one answer, about.
const AT_ONCE: usize = 64 * 1024;
/// Packets of one answer: python-engineio takes no more.
const MOST_PACKETS: usize = 16;

/// A poll that comes while its client is about to change to a WebSocket waits so long for something to tell: the client
/// polls until it has heard that packets get through there.
const LET_GO: Duration = Duration::from_millis(100);

/// Stands for a session whose client has gone: what it is told nobody reads.
const GONE: u16 = 1006;

/// Tells that the session is over.
const CLOSE: &str = "1";
/// Tells nothing.
const NOOP: &str = "6";
/// Asks for a sign of life.
const PING: &[u8] = b"2";

/// What a poll is answered with.
pub(super) struct Answer {
    packets: Vec<Packet>,
    line: Line,
    /// Held until the packets are on their way.
    place: Place,
    /// Whether the HTTP connection may go on.
    keep: bool,
}

impl Answer {
    /// The packets, as they stand in a body.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        body_of(&self.packets)
    }
}

/// Answers a poll.
pub(super) async fn poll(
    public: &Public,
    session: &Session,
    lease: &Lease,
) -> Result<Response<Body>, Refusal> {
    lease.renew();
    let answer = tell(&public.sessions, session, Some((public, lease))).await?;
    let packets = Packets::new(answer.packets, answer.line, answer.place);
    let mut response = text(Body::new(packets));
    if !answer.keep {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

/// Waits until there is something to tell, on a connection of this gateway or for another one.
pub(super) async fn tell(
    sessions: &Sessions,
    session: &Session,
    here: Option<(&Public, &Lease)>,
) -> Result<Answer, Refused> {
    let Some(mut place) = session.try_tell() else {
        session.broken("a session has one poll at a time");
        return Err(Refused::BadRequest);
    };
    let Some(Mouth { wire, over }) = place.as_mut() else {
        return Err(Refused::Sid);
    };
    let is_told = over.is_some(); // of the rest, and why
    let mut told = Told {
        over: *over,
        ..Told::default()
    };
    told.gather(wire);
    if told.is_left_over() && !is_told {
        sessions.end(session.sid());
        return Err(Refused::Sid);
    }
    let mut keep = true;
    if told.is_empty() {
        let left = async {
            match here {
                Some((_, lease)) => {
                    lease.wait();
                    lease.left().await;
                }
                None => std::future::pending().await, // the other gateway says so
            }
        };
        tokio::select! {
            biased;
            () = left => told.over = Some(GONE),
            frame = wire.next() => told.add(frame),
            () = let_go(session) => told.packets.push(Packet::Own(NOOP)),
        }
        keep = here.is_none_or(|(public, lease)| lease.waited(public));
        told.gather(wire);
    }
    *over = told.over;
    if told.is_last() {
        sessions.end(session.sid());
        *place = None;
    }
    Ok(Answer {
        packets: told.into_packets(),
        line: session.line().clone(),
        place,
        keep,
    })
}

/// Returns when a poll is to come back empty, so that its client can change to a WebSocket.
async fn let_go(session: &Session) {
    if session.phase() == Phase::Probed {
        return sleep(LET_GO).await;
    }
    let mut phases = session.phases();
    // The session has the sender, so this ends only with it.
    let _ = phases
        .wait_for(|phase| matches!(phase, Phase::Probed | Phase::Gone))
        .await;
}

/// What is told in one answer.
#[derive(Debug, Default)]
struct Told {
    packets: Vec<Packet>,
    bytes: usize,
    /// With which code the gateway has ended the session; 1006 where it has not said, or where its client is gone.
    over: Option<u16>,
}

impl Told {
    /// Takes what lies there, up to what one answer has.
    fn gather(&mut self, wire: &mut Wire) {
        while self.over.is_none()
            && self.bytes < AT_ONCE
            && self.packets.len() < MOST_PACKETS
            && let Some(frame) = wire.next().now_or_never()
        {
            self.add(frame);
        }
    }

    fn add(&mut self, frame: Option<WireFrame>) {
        let packet = match frame {
            Some(WireFrame::Text(text)) => Packet::of_text(text),
            Some(WireFrame::Binary(bytes)) => Packet::Binary(bytes),
            Some(WireFrame::Close { code, .. }) => {
                self.over = Some(code);
                return;
            }
            None => {
                self.over = Some(GONE);
                return;
            }
        };
        self.bytes += packet.len();
        self.packets.push(packet);
    }

    fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.over.is_none()
    }

    /// Whether there is nothing but the end of a session that its client has ended, by closing it, by silence, or by what it
    /// must not do. Then there is no session for a poll that comes after that.
    fn is_left_over(&self) -> bool {
        let is_ping = |packet: &Packet| matches!(packet, Packet::Text(text) if **text == *PING);
        matches!(self.over, Some(1000 | 1003 | 1009 | 4104)) && self.packets.iter().all(is_ping)
    }

    /// Whether the client has all with this. The close packet comes alone: socket.io-client drops what comes with it.
    fn is_last(&self) -> bool {
        match self.over {
            None => false,
            Some(1000) => true,
            Some(_) => self.packets.is_empty(),
        }
    }

    fn into_packets(mut self) -> Vec<Packet> {
        match self.over {
            Some(1000) if self.packets.is_empty() => self.packets.push(Packet::Own(NOOP)),
            Some(_) if self.packets.is_empty() => self.packets.push(Packet::Own(CLOSE)),
            _ => {}
        }
        self.packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::shard::wire::Payload;

    fn told(frames: Vec<WireFrame>) -> Told {
        let mut told = Told::default();
        frames.into_iter().for_each(|frame| told.add(Some(frame)));
        told
    }

    fn text(text: &str) -> WireFrame {
        WireFrame::Text(Payload::of(text.as_bytes()))
    }

    fn close(code: u16) -> WireFrame {
        let reason = "".into();
        WireFrame::Close { code, reason }
    }

    fn last(told: Told) -> String {
        format!("{:?}", told.into_packets().last())
    }

    #[test]
    fn the_end_of_a_session_is_told_alone_when_all_else_is_told() {
        let drained = told(vec![text("4a"), close(1012)]);
        assert!(!drained.is_empty() && !drained.is_left_over() && !drained.is_last());
        assert_eq!(drained.into_packets().len(), 1);
        for code in [1012, 1006] {
            let over = Told {
                over: Some(code),
                ..Told::default()
            };
            assert!(over.is_last());
            assert_eq!(last(over), r#"Some(Own("1"))"#);
        }
    }

    #[test]
    fn a_client_that_closes_is_told_nothing_new() {
        assert_eq!(last(told(vec![close(1000)])), r#"Some(Own("6"))"#);
        assert_eq!(told(vec![text("4a"), close(1000)]).into_packets().len(), 1);
    }

    #[test]
    fn a_session_that_its_client_has_ended_is_none_unless_there_is_more_to_tell() {
        for code in [1000, 1003, 1009, 4104] {
            assert!(told(vec![text("2"), close(code)]).is_left_over(), "{code}");
            assert!(!told(vec![text("4a"), close(code)]).is_left_over());
        }
        assert!(!told(vec![close(1012)]).is_left_over());
        assert!(!told(vec![text("2")]).is_left_over());
    }
}
