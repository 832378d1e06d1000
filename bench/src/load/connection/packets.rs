//! What Socket.IO clients take, in frames or as answers to polls.

use super::{Connection, Stage};
use crate::load::{
    frames::{self, Frame, Opcode},
    plan::Plan,
    polling::{self, Answer},
    socketio::{self, Packet},
    swarm::Tally,
};

impl Connection {
    /// A Socket.IO packet.
    pub(super) fn packet(
        &mut self,
        frame: &Frame<'_>,
        plan: &Plan,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let mut out = Vec::new();
        match (self.stage, Packet::of(frame.payload)) {
            (Stage::Ready | Stage::Closing, Packet::Message) => self.message(frame, tally),
            (_, Packet::Ping) => {
                tally.pings += 1;
                frames::push_client_frame(&mut out, Opcode::Text, socketio::PONG);
            }
            (Stage::Greeting, Packet::Opened) => {
                frames::push_client_frame(&mut out, Opcode::Text, socketio::CONNECT);
            }
            (Stage::Greeting, Packet::Connected) => {
                self.subscriptions = plan.subscriptions();
                self.stage = Stage::Subscribing;
                out = plan.subscribe(self.number, None);
            }
            (Stage::Subscribing, Packet::Acknowledged) => {
                self.subscriptions -= 1;
                if self.subscriptions == 0 {
                    self.ready(plan, tally)?;
                }
            }
            (_, Packet::Event) => tally.others += 1,
            _ => {
                let packet = String::from_utf8_lossy(frame.payload);
                return Err(format!("unexpected packet: {packet}"));
            }
        }
        match out.is_empty() {
            true => Ok(()),
            false => self.send_or(&out),
        }
    }

    /// Answers to polls, and to what was posted.
    pub(super) fn poll(
        &mut self,
        bytes: &[u8],
        plan: &Plan,
        tally: &mut Tally,
    ) -> Result<usize, String> {
        let mut used = 0;
        while let Some(answer) = Answer::parse(&bytes[used..])? {
            used += answer.wire;
            let mut poller = self.poller.take().unwrap_or_default();
            let next = poller.take(&answer, plan, &mut |packet, text| {
                self.polled(packet, text, plan, tally)?;
                Ok(polling::reply(packet, &|| plan.joins(self.number)))
            });
            self.poller = Some(poller);
            self.send_or(&next?)?;
        }
        Ok(used)
    }

    fn polled(
        &mut self,
        packet: Packet,
        text: &[u8],
        plan: &Plan,
        tally: &mut Tally,
    ) -> Result<(), String> {
        match packet {
            Packet::Opened => self.stage = Stage::Greeting,
            Packet::Connected => {
                self.stage = Stage::Subscribing;
                self.subscriptions = plan.subscriptions();
            }
            Packet::Acknowledged => {
                self.subscriptions -= 1;
                if self.subscriptions == 0 {
                    self.ready(plan, tally)?;
                }
            }
            Packet::Message => self.count(text, text.len(), tally),
            Packet::Ping => tally.pings += 1,
            Packet::Event => tally.others += 1,
            Packet::Unexpected => {
                let packet = String::from_utf8_lossy(text);
                return Err(format!("unexpected packet: {packet}"));
            }
        }
        Ok(())
    }
}
