//! What others ask of a shard.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::oneshot;

use super::accepting::Door;
use super::arrival::Caller;
use super::batch::Batch;
use super::handle::{NewConnection, Peers};
use super::thinning::Thinning;
use super::wire::{Input, NewWire, Pipe};
use crate::config::Channel;
use crate::handler::Handled;
use crate::hub::Delivery;
use crate::internal::top::Slow;

/// Something for a shard, taken in order.
pub enum Command {
    /// Accept newcomers.
    Listen(Arc<dyn Door>, Peers),
    /// Accept again: the door may be less full.
    Resume,
    /// Hear what this socket says first.
    Arrive(mio::net::TcpStream, Box<dyn Caller>),
    /// Own this socket.
    Adopt(Box<NewConnection>),
    /// Own this wire.
    Plug(Box<NewWire>),
    /// What the owner of a wire says.
    Wire(Arc<Pipe>, Input),
    /// Messages of one room.
    Messages(Arc<Batch>),
    /// Something else of the hub.
    Deliver(Delivery),
    /// What the channel's handler says.
    Handled(Box<Handled>),
    /// A new configuration. Who holds the other end waits until all senders are gone.
    Configure(Arc<Channel>, Sender<Infallible>),
    /// Users were revoked.
    Revoked,
    /// Move all connections away within this time.
    Drain(Duration),
    /// Move connections away until so many stay, and tell how many are on their way.
    Thin(Thinning, oneshot::Sender<usize>),
    /// Tell so many clients that something waits for.
    Slow(usize, Sender<Vec<Slow>>),
}

impl Command {
    /// Bytes that wait with the command.
    pub fn weight(&self) -> usize {
        match self {
            Self::Messages(batch) => batch.weight(),
            Self::Deliver(delivery) => delivery.weight(),
            Self::Wire(_, input) => input.len(),
            Self::Handled(handled) => handled.weight(),
            Self::Listen(..)
            | Self::Resume
            | Self::Arrive(..)
            | Self::Adopt(_)
            | Self::Plug(_)
            | Self::Configure(..)
            | Self::Revoked
            | Self::Drain(_)
            | Self::Thin(..)
            | Self::Slow(..) => 0,
        }
    }
}
