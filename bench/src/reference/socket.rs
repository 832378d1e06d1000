//! What the epoll references share: a listener, and an upgrade that blocks, since opening is not measured.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
};

use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use crate::load::handshake;

/// A listener on a free port, which it announces as the gateway does.
pub(super) fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    println!("listening public={}", listener.local_addr()?);
    Ok(listener)
}

/// Accepts one connection and upgrades it. `Ok(None)`: nobody is waiting.
pub(super) fn accept(listener: &TcpListener) -> Result<Option<TcpStream>> {
    let mut socket = match listener.accept() {
        Ok((socket, _)) => socket,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error).context("cannot accept"),
    };
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while handshake::head_len(&request).is_none() {
        match socket.read(&mut buffer).context("no upgrade request")? {
            0 => return accept(listener),
            read => request.extend_from_slice(&buffer[..read]),
        }
    }
    socket.write_all(&handshake::response(0))?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(Some(socket))
}

/// Watches `file` for input under the number `key`.
pub(super) fn watch(epoll: &Epoll, file: impl AsFd, key: u64) -> Result<()> {
    epoll
        .add(file, EpollEvent::new(EpollFlags::EPOLLIN, key))
        .context("cannot watch a descriptor")
}
