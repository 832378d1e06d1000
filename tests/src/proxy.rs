//! A TCP proxy on loopback, in front of a server that is to be out of reach for a while.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::ports;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    /// It carries everything.
    Passes,
    /// Connections are there, and no byte arrives: a cut that nobody is told of.
    Holds,
    /// Connections are reset and new ones refused.
    Cut,
}

/// A running proxy. It passes at first; connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub addr: SocketAddr,
    network: watch::Sender<Network>,
    /// What the listener has followed.
    applied: watch::Receiver<Network>,
}

impl Proxy {
    /// Starts a proxy in front of `to`.
    pub async fn start(to: SocketAddr) -> Self {
        let addr = (Ipv4Addr::LOCALHOST, ports::lasting()).into();
        let (network, wanted) = watch::channel(Network::Passes);
        let (told, applied) = watch::channel(Network::Cut);
        tokio::spawn(async move {
            // It ends when the proxy is dropped.
            let _ = serve(addr, to, wanted, told).await;
        });
        let proxy = Self {
            addr,
            network,
            applied,
        };
        proxy.switch(Network::Passes).await;
        proxy
    }

    /// [`Self::start`] in front of a NATS server.
    pub async fn to_nats(server: &crate::NatsServer) -> Self {
        Self::start((Ipv4Addr::LOCALHOST, server.port).into()).await
    }

    /// Where NATS clients connect.
    #[must_use]
    pub fn nats_url(&self) -> String {
        format!("nats://{}", self.addr)
    }

    /// Carries everything from now on, what was held first.
    pub async fn pass(&self) {
        self.switch(Network::Passes).await;
    }

    /// Takes connections and keeps them, and lets no byte through: the network is cut, and nobody is told.
    pub async fn hold(&self) {
        self.switch(Network::Holds).await;
    }

    /// Resets all connections and refuses new ones.
    pub async fn cut(&self) {
        self.switch(Network::Cut).await;
    }

    async fn switch(&self, to: Network) {
        self.network.send_replace(to);
        let mut applied = self.applied.clone();
        applied
            .wait_for(|now| *now == to)
            .await
            .expect("the proxy can't listen");
    }
}

/// Takes connections, unless the network is cut.
async fn serve(
    addr: SocketAddr,
    to: SocketAddr,
    mut network: watch::Receiver<Network>,
    told: watch::Sender<Network>,
) -> Result<(), watch::error::RecvError> {
    let mut listener = None;
    loop {
        let now = *network.borrow_and_update();
        if now == Network::Cut {
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(addr).await.unwrap());
        }
        told.send_replace(now);
        match &listener {
            None => network.changed().await?,
            Some(listener) => tokio::select! {
                changed = network.changed() => changed?,
                taken = listener.accept() => {
                    let Ok((client, _)) = taken else { continue };
                    tokio::spawn(relay(client, to, network.clone()));
                }
            },
        }
    }
}

/// Carries one connection to its end.
async fn relay(mut client: TcpStream, to: SocketAddr, mut network: watch::Receiver<Network>) {
    let mut carried = network.clone();
    let carry = async {
        passes(&mut carried).await?;
        let mut server = TcpStream::connect(to).await?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = tokio::try_join!(
            pump(from_client, to_server, carried.clone()),
            pump(from_server, to_client, carried.clone()),
        );
        // An orderly end stays one; everything else is a reset on both sides.
        if both.is_err() {
            let _ = server.set_zero_linger();
        }
        both
    };
    let ended = tokio::select! {
        carried = carry => carried.is_ok(),
        _ = network.wait_for(|now| *now == Network::Cut) => false,
    };
    if !ended {
        let _ = client.set_zero_linger();
    }
}

/// Carries one direction until its source ends.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut network: watch::Receiver<Network>,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut bytes).await;
        passes(&mut network).await?; // an end or a reset is held like everything else
        let count = read?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}

/// Awaits that the network passes.
async fn passes(network: &mut watch::Receiver<Network>) -> io::Result<()> {
    let passes = network.wait_for(|now| *now == Network::Passes).await;
    passes.map(drop).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wait::{STEP, scenario, within};

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        addr
    }

    async fn says(stream: &mut TcpStream, word: &[u8]) {
        stream.write_all(word).await.unwrap();
        hears(stream, word).await;
    }

    async fn hears(stream: &mut TcpStream, word: &[u8]) {
        let mut heard = vec![0; word.len()];
        within("the echo", STEP, stream.read_exact(&mut heard))
            .await
            .unwrap();
        assert_eq!(heard, word);
    }

    #[test]
    fn it_passes_bytes_both_ways_and_an_orderly_end() {
        scenario(30, async {
            let proxy = Proxy::start(echo().await).await;
            let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
            says(&mut stream, b"hello").await;
            stream.shutdown().await.unwrap();
            let end = within("the end", STEP, stream.read_u8()).await;
            assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        });
    }

    #[test]
    fn what_is_held_arrives_when_it_passes_again() {
        scenario(30, async {
            let proxy = Proxy::start(echo().await).await;
            let mut open = TcpStream::connect(proxy.addr).await.unwrap();
            says(&mut open, b"before").await;
            proxy.hold().await;
            let mut new = TcpStream::connect(proxy.addr).await.unwrap();
            for stream in [&mut open, &mut new] {
                stream.write_all(b"held").await.unwrap();
            }
            // Nothing is to happen here, so there is nothing to await but time.
            let silence = tokio::time::timeout(Duration::from_millis(200), async {
                tokio::select! {
                    byte = open.read_u8() => byte,
                    byte = new.read_u8() => byte,
                }
            });
            assert!(silence.await.is_err(), "a byte came through");
            proxy.pass().await;
            hears(&mut open, b"held").await;
            hears(&mut new, b"held").await;
        });
    }

    #[test]
    fn a_cut_resets_what_is_open_and_refuses_what_is_new() {
        scenario(30, async {
            let proxy = Proxy::start(echo().await).await;
            let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
            says(&mut stream, b"before").await;
            proxy.cut().await;
            let reset = within("the reset", STEP, stream.read_u8()).await;
            assert_eq!(reset.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
            let refused = TcpStream::connect(proxy.addr).await;
            assert_eq!(
                refused.unwrap_err().kind(),
                io::ErrorKind::ConnectionRefused
            );
            proxy.pass().await;
            let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
            says(&mut stream, b"after").await;
        });
    }

    #[test]
    fn a_held_connection_can_be_cut() {
        scenario(30, async {
            let proxy = Proxy::start(echo().await).await;
            let mut stream = TcpStream::connect(proxy.addr).await.unwrap();
            says(&mut stream, b"before").await;
            proxy.hold().await;
            proxy.cut().await;
            let reset = within("the reset", STEP, stream.read_u8()).await;
            assert_eq!(reset.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        });
    }
}
