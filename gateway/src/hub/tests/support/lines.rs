//! What the hub said, in short lines.

use std::fmt::Write as _;
use std::sync::Arc;

use super::Said;
use crate::hub::{Answer, Delivery};
use crate::message::{Message, Payload};
use crate::names::{Epoch, Offset};
use crate::protocol::{PresenceChangeKind, PresenceMembers};

/// The first answer.
pub fn answer(said: &[Said]) -> Option<&Answer> {
    said.iter().find_map(|said| match said {
        Said::Sent(delivery) => match &**delivery {
            Delivery::Answer { answer, .. } => Some(answer),
            _ => None,
        },
        Said::Messages { .. } => None,
    })
}

/// Everything in short lines, in order.
pub fn lines(said: &[Said]) -> Vec<String> {
    said.iter().map(line).collect()
}

fn line(said: &Said) -> String {
    match said {
        Said::Messages {
            room,
            messages,
            shards,
        } => {
            let offsets = offsets(messages);
            format!("{room} {offsets} to {shards:?}")
        }
        Said::Sent(delivery) => sent(delivery),
    }
}

/// Offsets, or the texts of messages without.
fn offsets(messages: &[Arc<Message>]) -> String {
    let one = |message: &Arc<Message>| match (&message.offset, &message.data) {
        (Some(offset), _) => offset.0.to_string(),
        (None, Payload::Text(text)) => text.to_string(),
        (None, other) => format!("{other:?}"),
    };
    format!(
        "[{}]",
        messages.iter().map(one).collect::<Vec<_>>().join(" ")
    )
}

fn sent(delivery: &Delivery) -> String {
    let at = |position: &Option<(Epoch, Offset)>| {
        position
            .as_ref()
            .map_or("-".into(), |(_, at)| at.0.to_string())
    };
    match delivery {
        Delivery::Answer { to, answer, .. } => format!("{} {}", to.slot, answered(answer)),
        Delivery::Subscribed {
            to, room, outcome, ..
        } => {
            let mut line = format!("{} in {room} at {}", to.slot, at(&outcome.position));
            if let Some(recovered) = outcome.recovered {
                let word = if recovered { "recovered" } else { "lost" };
                let _ = write!(line, " {word} {}", offsets(&outcome.messages));
            }
            line + if outcome.more { " more" } else { "" }
        }
        Delivery::Unsubscribed { to, room, .. } => format!("{} left {room}", to.slot),
        Delivery::Enlist { room, to } => {
            let mut slots: Vec<u32> = to.iter().map(|address| address.slot).collect();
            slots.sort_unstable();
            format!("{room} enlist {slots:?}")
        }
        Delivery::Presence { room, change } => match &change.kind {
            PresenceChangeKind::Members { join, leave } => {
                format!(
                    "{room} presence {}: +{} -{}",
                    change.version,
                    join.len(),
                    leave.len()
                )
            }
            PresenceChangeKind::Count(count) => {
                format!("{room} presence {}: {count}", change.version)
            }
        },
        Delivery::Gap {
            room,
            reason,
            position,
        } => format!("{room} gap {} at {}", reason.as_str(), at(position)),
        Delivery::Direct { to, message } => format!(
            "{} direct {}",
            to.slot,
            offsets(std::slice::from_ref(message))
        ),
        Delivery::Detached { to } => format!("{} detached", to.slot),
        Delivery::Expel { to, close } => format!("{} expel {}", to.slot, close.code),
        Delivery::Close { to, code } => format!("{} close {}", to.slot, code.as_str()),
    }
}

fn answered(answer: &Answer) -> String {
    match answer {
        Answer::Published {
            position,
            duplicate,
            not_deduplicated,
            ..
        } => {
            let at = position
                .as_ref()
                .map_or("-".into(), |(_, at)| at.0.to_string());
            let (again, not) = (
                if *duplicate { " again" } else { "" },
                if *not_deduplicated {
                    " not deduplicated"
                } else {
                    ""
                },
            );
            format!("published {at}{again}{not}")
        }
        Answer::Sent { connections } => format!("sent to {connections}"),
        Answer::Whereabouts(known) => {
            let here = known.iter().filter(|(_, here)| *here).count();
            format!("{here} of {} here", known.len())
        }
        Answer::History(page) => format!(
            "history {}{}",
            offsets(&page.messages),
            if page.more { " more" } else { "" }
        ),
        Answer::Presence(page) => match &page.members {
            PresenceMembers::Page { members, more } => {
                format!(
                    "presence {}: {} members{}",
                    page.version,
                    members.len(),
                    if *more { " more" } else { "" }
                )
            }
            PresenceMembers::Count(count) => format!("presence {}: {count}", page.version),
        },
        Answer::Refused(code) => format!("refused {}", code.as_str()),
    }
}

/// Without what is answered to publishers.
pub fn heard(said: &[Said]) -> Vec<String> {
    lines(said)
        .into_iter()
        .filter(|line| !line.contains(" published "))
        .collect()
}
