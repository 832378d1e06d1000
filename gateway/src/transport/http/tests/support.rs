//! A public port of a test's own, and clients of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::auth::Tokens;
use crate::config::Channel;
use crate::drain::{Lifecycle, Phase};
use crate::transport::http::{Home, Public, Reason, server};
use crate::transport::shard::accepting::{Door, Knock};
use crate::transport::shard::handle::{NewConnection, Opening};
use crate::transport::shard::wire::Wire;
use crate::transport::{Role, Transport};

/// What a right handshake needs.
pub const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Keeps what a shard would get, and gives every newcomer to HTTP proper unheard.
#[derive(Default)]
pub struct Kept {
    connections: Mutex<Vec<NewConnection>>,
    resumed: Arc<Notify>,
    listening: Notify,
}

impl Home for Kept {
    fn connections(&self) -> usize {
        self.connections.lock().unwrap().len()
    }

    fn adopt(&self, connection: NewConnection) {
        self.connections.lock().unwrap().push(connection);
    }

    fn plug(&self, _: Opening, _: Transport, _: Role) -> Option<Wire> {
        None
    }

    fn listen(&self, door: Arc<dyn Door>) {
        let resumed = Arc::clone(&self.resumed);
        tokio::spawn(async move {
            let listener = std::fs::File::from(door.listener().try_clone_to_owned().unwrap());
            // SAFETY: a `File` owns its descriptor and tells the same one at every call.
            let listener =
                unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }.unwrap();
            loop {
                match door.answer() {
                    Knock::Came(socket, caller) => caller.pass_on(socket.into(), &[]),
                    Knock::TurnedAway => {}
                    Knock::Nobody => listener.readable().await.unwrap().clear_ready(),
                    Knock::Full => resumed.notified().await,
                    Knock::Failed => panic!("files or memory ran out"),
                }
            }
        });
        self.listening.notify_one();
    }

    fn resume(&self) {
        self.resumed.notify_one();
    }
}

pub struct Port {
    pub address: std::net::SocketAddr,
    pub public: Arc<Public>,
    pub tokens: Arc<Tokens>,
    pub lifecycle: Arc<Lifecycle>,
    kept: Arc<Kept>,
}

/// A channel whose spec is `more` (YAML) and anonymous access.
pub fn channel(more: &str) -> Arc<Channel> {
    let text = format!(
        "apiVersion: realtime.linnet.dev/v1alpha1\nkind: RealtimeChannel\n\
         metadata: {{name: tests}}\nspec:\n  authentication:\n    anonymous: Allow\n{more}"
    );
    Arc::new(Channel::compile(&linnet_crds::check(&text).unwrap()))
}

impl Port {
    pub async fn open(spec: &str) -> Self {
        Self::with_files(spec, 10_000).await
    }

    pub async fn with_files(spec: &str, file_limit: usize) -> Self {
        let kept = Arc::new(Kept::default());
        let lifecycle = Arc::new(Lifecycle::new());
        lifecycle.enter(Phase::Serving);
        let home = Arc::clone(&kept) as Arc<dyn Home>;
        let tokens = Arc::<Tokens>::default();
        let public = Public::new(
            channel(spec),
            Arc::clone(&tokens),
            home,
            Arc::clone(&lifecycle),
            file_limit,
        );
        let public = Arc::new(public);
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(server::serve(listener, Arc::clone(&public)));
        kept.listening.notified().await;
        Self {
            address,
            public,
            tokens,
            lifecycle,
            kept,
        }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The answer to `start` (method and path) with these header lines, on a connection of its own.
    pub async fn ask(&self, start: &str, headers: &str) -> Answer {
        let mut stream = self.connect().await;
        send(&mut stream, start, headers).await
    }

    /// The answer to a right handshake with header lines added; an accepted one stays open.
    pub async fn upgrade(&self, path: &str, headers: &str) -> (Answer, TcpStream) {
        let mut stream = self.connect().await;
        let headers = format!("{UPGRADE}{headers}");
        let answer = send(&mut stream, &format!("GET {path}"), &headers).await;
        (answer, stream)
    }

    /// The next socket that was given away.
    pub async fn adopted(&self) -> NewConnection {
        within(async {
            loop {
                if let Some(connection) = self.kept.connections.lock().unwrap().pop() {
                    return connection;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    pub fn refused(&self, reason: Reason) -> u64 {
        self.public.metrics().refused(reason)
    }
}

pub async fn send(stream: &mut TcpStream, start: &str, headers: &str) -> Answer {
    let request = format!("{start} HTTP/1.1\r\nHost: chat.example\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    Answer::read(stream).await
}

/// Bounds a step of a test.
pub async fn within<T>(step: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), step).await.unwrap()
}

/// An HTTP answer, header names as they came (hyper writes lower case).
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// Reads an answer's head, and its body as long as `content-length` says.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Self {
        within(async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let byte = stream.read_u8().await;
                head.push(byte.expect("an answer, not an end"));
            }
            let head = String::from_utf8(head).unwrap();
            let mut lines = head.lines();
            let status = lines.next().unwrap().split(' ').nth(1).unwrap();
            let headers = lines.filter_map(|line| line.split_once(": "));
            let headers = headers.map(|(name, value)| (name.into(), value.into()));
            let mut answer = Self {
                status: status.parse().unwrap(),
                headers: headers.collect(),
                body: String::new(),
            };
            let length = answer.header("content-length").unwrap_or("0");
            let mut body = vec![0; length.parse().unwrap()];
            if answer.status != 304 {
                stream.read_exact(&mut body).await.unwrap();
                answer.body = String::from_utf8(body).unwrap();
            }
            answer
        })
        .await
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}
