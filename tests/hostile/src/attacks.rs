//! The attacks. Each goes on until it is killed: where the gateway ends a connection, the attacker comes again.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, bail};
use flate2::{Compress, Compression, FlushCompress};
use rand::RngExt as _;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::socket::{ATTACKER, FIN, PING, PONG, TEXT, connect, frame, handshake, open, text};

/// One way to attack.
pub struct Attack {
    pub name: &'static str,
    /// How many do it at once.
    attackers: usize,
    blow: Blow,
}

/// What one attacker does with one connection, again and again.
#[derive(Clone, Copy)]
enum Blow {
    /// A handshake whose headers never end, a byte a second.
    DripHandshake,
    /// A socket that says nothing.
    Silence,
    /// A handshake, and then neither reads nor answers pings, in a room where much is said.
    NeverRead,
    /// The same bytes as fast as they are taken.
    Flood(fn() -> Vec<u8>),
    /// The same after having agreed on compression.
    FloodCompressed(fn() -> Vec<u8>),
    /// Comes and goes.
    Churn,
    /// Comes and resets.
    Reset,
    /// A handshake that must be refused.
    BadHandshake(&'static str),
    /// What is no HTTP.
    Garbage,
}

const fn attack(name: &'static str, attackers: usize, blow: Blow) -> Attack {
    Attack {
        name,
        attackers,
        blow,
    }
}

/// All of them.
pub const ALL: &[Attack] = &[
    attack("slow handshakes", 1500, Blow::DripHandshake),
    attack("silent sockets", 1500, Blow::Silence),
    attack("half-open sockets", 300, Blow::NeverRead),
    attack("ping flood", 10, Blow::Flood(pings)),
    attack("pong flood", 10, Blow::Flood(pongs)),
    attack("empty frames", 10, Blow::Flood(empty_frames)),
    attack("empty fragments", 10, Blow::Flood(empty_fragments)),
    attack("fragment flood", 10, Blow::Flood(fragments)),
    attack("compression bombs", 10, Blow::FloodCompressed(bombs)),
    attack("giant frames", 10, Blow::Flood(giants)),
    attack("bad UTF-8", 10, Blow::Flood(bad_text)),
    attack("bad frames", 10, Blow::Flood(bad_frames)),
    attack("subscribe churn", 10, Blow::Flood(subscriptions)),
    attack("room flood", 20, Blow::Flood(rooms)),
    attack("history flood", 10, Blow::Flood(questions)),
    attack("publish flood", 20, Blow::Flood(publishes)),
    attack("large publishes", 10, Blow::Flood(large_publishes)),
    attack("connect churn", 20, Blow::Churn),
    attack("reset storm", 20, Blow::Reset),
    attack(
        "bad origins",
        20,
        Blow::BadHandshake("Origin: https://evil.example\r\n"),
    ),
    attack(
        "bad tokens",
        20,
        Blow::BadHandshake("Authorization: Bearer a.b.c\r\n"),
    ),
    attack("garbage", 20, Blow::Garbage),
];

/// Attacks until killed; says on standard output when it has begun.
pub async fn run(name: &str, gateway: SocketAddr) -> anyhow::Result<()> {
    let found = ALL.iter().find(|attack| attack.name == name);
    let attack = found.with_context(|| format!("no attack {name}"))?;
    let mut attackers = JoinSet::new();
    // All together at most some thousand times a second: a small machine is shared with whom they attack.
    let pause = Duration::from_micros(500) * u32::try_from(attack.attackers)?;
    for number in 0..attack.attackers {
        attackers.spawn(again(number, gateway, attack.blow, pause));
    }
    attackers.join_next().await;
    bail!("an attacker has ended")
}

async fn again(number: usize, gateway: SocketAddr, blow: Blow, pause: Duration) {
    loop {
        // However it ends: the next one.
        let _ = strike(number, gateway, blow).await;
        tokio::time::sleep(pause).await;
    }
}

/// Something has gone out.
fn begun() {
    static SAID: OnceLock<()> = OnceLock::new();
    SAID.get_or_init(|| {
        let mut out = std::io::stdout();
        let _ = out.write_all(b".").and_then(|()| out.flush());
    });
}

async fn strike(number: usize, gateway: SocketAddr, blow: Blow) -> anyhow::Result<()> {
    match blow {
        Blow::DripHandshake => {
            let mut stream = connect(gateway, ATTACKER).await?;
            for byte in handshake("/ws", "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n") {
                stream.write_all(&[byte]).await?;
                begun();
                tokio::time::sleep(Duration::from_secs(1)).await; // the attack itself
            }
        }
        Blow::Silence => {
            let mut stream = connect(gateway, ATTACKER).await?;
            begun();
            let _ = stream.read_u8().await;
        }
        Blow::NeverRead => {
            let mut stream = open(gateway, ATTACKER, "").await?;
            let join = json!({"type": "subscribe", "room": "attacked"}).to_string();
            stream.write_all(&text(&join)).await?;
            begun();
            if number == 0 {
                let data = "x".repeat(10_000);
                let say = json!({"type": "publish", "room": "attacked", "data": data}).to_string();
                let mut pace = tokio::time::interval(Duration::from_millis(60));
                loop {
                    pace.tick().await;
                    stream.write_all(&text(&say)).await?;
                    read_away(&mut stream);
                }
            }
            std::future::pending::<()>().await;
        }
        Blow::Flood(bytes) => {
            let stream = open(gateway, ATTACKER, "").await?;
            flood(stream, &bytes()).await?;
        }
        Blow::FloodCompressed(bytes) => {
            let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
            let stream = open(gateway, ATTACKER, offer).await?;
            flood(stream, &bytes()).await?;
        }
        Blow::Churn => {
            let came = open(gateway, ATTACKER, "").await;
            begun();
            drop(came?);
        }
        Blow::Reset => {
            let stream = connect(gateway, ATTACKER).await?;
            let whole = handshake("/ws", "");
            let part = rand::rng().random_range(0..=whole.len());
            let _ = stream.try_write(&whole[..part]);
            begun();
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        }
        Blow::BadHandshake(headers) => {
            let outcome = open(gateway, ATTACKER, headers).await;
            begun();
            outcome?;
        }
        Blow::Garbage => {
            let mut stream = connect(gateway, ATTACKER).await?;
            let garbage: Vec<u8> = (0..2000).map(|_| rand::random()).collect();
            stream.write_all(&garbage).await?;
            begun();
            let _ = stream.read_u8().await;
        }
    }
    Ok(())
}

/// Writes without end and reads what comes, as far as it does not keep from writing.
async fn flood(stream: TcpStream, bytes: &[u8]) -> anyhow::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let write = async {
        loop {
            if let Err(error) = writer.write_all(bytes).await {
                return error;
            }
            begun();
        }
    };
    let mut nowhere = tokio::io::sink();
    let read = tokio::io::copy(&mut reader, &mut nowhere);
    tokio::select! {
        error = write => Err(error.into()),
        outcome = read => outcome.map(drop).map_err(Into::into),
    }
}

fn read_away(stream: &mut TcpStream) {
    let mut scratch = [0; 65536];
    while stream.try_read(&mut scratch).is_ok_and(|count| count > 0) {}
}

/// Many of the same.
fn many(one: &[u8], bytes: usize) -> Vec<u8> {
    one.repeat((bytes / one.len()).max(1))
}

fn pings() -> Vec<u8> {
    many(&frame(FIN | PING, &[7; 125]), 64 * 1024)
}

fn pongs() -> Vec<u8> {
    many(&frame(PONG, b""), 64 * 1024)
}

fn empty_frames() -> Vec<u8> {
    many(&text(""), 64 * 1024)
}

fn empty_fragments() -> Vec<u8> {
    [frame(TEXT, b""), many(&frame(0, b""), 1 << 20)].concat()
}

/// Messages of one-byte fragments.
fn fragments() -> Vec<u8> {
    [
        frame(TEXT, b"\""),
        many(&frame(0, b"x"), 7 * 50_000),
        frame(FIN, b"\""),
    ]
    .concat()
}

fn bombs() -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut bomb = Vec::with_capacity(64 * 1024);
    // A vector with room enough and a fresh stream: nothing to go wrong.
    let _ = deflate.compress_vec(&vec![b'0'; 10_000_000], &mut bomb, FlushCompress::Sync);
    bomb.truncate(bomb.len().saturating_sub(4));
    frame(FIN | 0x40 | TEXT, &bomb)
}

fn giants() -> Vec<u8> {
    text(&"x".repeat(1 << 20))
}

fn bad_text() -> Vec<u8> {
    frame(FIN | TEXT, b"{\"type\":\"ping\xff\xfe\"}")
}

fn bad_frames() -> Vec<u8> {
    many(&text("{\"type\":"), 16 * 1024)
}

fn subscriptions() -> Vec<u8> {
    let join =
        text(&json!({"type": "subscribe", "room": "honest.0", "presence": true}).to_string());
    let leave = text(&json!({"type": "unsubscribe", "room": "honest.0"}).to_string());
    many(&[join, leave].concat(), 32 * 1024)
}

fn rooms() -> Vec<u8> {
    let mut random = rand::rng();
    let join = |_| {
        let room = format!("flood.{}.{}", random.random::<u64>(), "x".repeat(200));
        text(&json!({"type": "subscribe", "room": room}).to_string())
    };
    (0..100).flat_map(join).collect()
}

fn questions() -> Vec<u8> {
    let ask = json!({"type": "history", "id": 1, "room": "honest.0", "limit": 100});
    many(&text(&ask.to_string()), 16 * 1024)
}

fn publishes() -> Vec<u8> {
    let say = json!({"type": "publish", "room": "attacked", "data": "x"});
    many(&text(&say.to_string()), 16 * 1024)
}

fn large_publishes() -> Vec<u8> {
    let say = json!({"type": "publish", "room": "attacked", "data": "x".repeat(60_000)});
    text(&say.to_string())
}
