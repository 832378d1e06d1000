//! What keeps a gateway from being asked to make room.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use linnet_tests::until;
use nix::sched::{CloneFlags, setns};
use serde_json::Value;

use crate::operator::processes;

/// Where a gateway hears the operator.
const INTERNAL: u16 = 9090;

/// Where this listens beside it.
const BESIDE: u16 = 19090;

/// Stands in the network of a gateway's pod: refuses `POST /rebalance` until it lets it through, and lets everything else
/// through at any time. It needs root, and a pod on this machine; it goes with the pod.
#[derive(Debug, Clone)]
pub struct Obstacle {
    refuses: Arc<AtomicBool>,
    refused: Arc<Mutex<Vec<Instant>>>,
}

impl Obstacle {
    /// Puts it before the gateway in `pod`.
    ///
    /// # Panics
    /// When it can't be put there.
    #[must_use]
    pub fn before(pod: &Value) -> Self {
        let process = processes(pod).pop();
        let process = process.expect("the pod's process runs on this machine");
        let network = format!("/proc/{process}/ns/net");
        let obstacle = Self {
            refuses: Arc::new(AtomicBool::new(true)),
            refused: Arc::default(),
        };
        let (there, arrived) = mpsc::channel();
        let (stands, way) = (obstacle.clone(), network.clone());
        // A network belongs to a thread, and to those that it starts.
        thread::spawn(move || {
            setns(File::open(way).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, BESIDE)).unwrap();
            there.send(()).unwrap();
            for client in listener.incoming().flatten() {
                let stands = stands.clone();
                thread::spawn(move || stands.meet(client));
            }
        });
        arrived.recv().expect("it listens in the pod's network");
        let (from, to) = (INTERNAL.to_string(), BESIDE.to_string());
        let redirect = Command::new("nsenter")
            .arg(format!("--net={network}"))
            .args(["--", "iptables", "--wait", "--table", "nat", "--append"])
            .args(["PREROUTING", "--protocol", "tcp", "--dport", &from])
            .args(["--jump", "REDIRECT", "--to-ports", &to])
            .status();
        assert!(redirect.unwrap().success(), "iptables");
        obstacle
    }

    /// When it refused, once that was `count` times.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn has_refused(&self, count: usize) -> Vec<Instant> {
        until(("refusals:", count), || async {
            let refused = self.refused.lock().unwrap();
            (refused.len() >= count).then(|| refused.clone())
        })
        .await
    }

    /// Refuses nothing any more.
    pub fn give_way(&self) {
        self.refuses.store(false, SeqCst);
    }

    fn meet(&self, mut client: TcpStream) -> io::Result<()> {
        let request = first_request(&mut client)?;
        if request.starts_with(b"POST /rebalance ") && self.refuses.load(SeqCst) {
            self.refused.lock().unwrap().push(Instant::now());
            let answer = b"HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            return client.write_all(answer);
        }
        let mut gateway = TcpStream::connect((Ipv4Addr::LOCALHOST, INTERNAL))?;
        gateway.write_all(&request)?;
        let (mut from, mut to) = (client.try_clone()?, gateway.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
        let copied = io::copy(&mut gateway, &mut client);
        client.shutdown(Shutdown::Both)?;
        copied.map(drop)
    }
}

/// The first request of a connection, whole: an answer to half of one may be lost with the rest.
fn first_request(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    while !is_whole(&request) {
        match client.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => request.extend_from_slice(&piece[..count]),
        }
    }
    Ok(request)
}

fn is_whole(request: &[u8]) -> bool {
    let request = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let mut lengths = head
        .lines()
        .filter_map(|line| line.strip_prefix("content-length:"));
    let length = lengths
        .next()
        .map_or(0, |length| length.trim().parse().unwrap());
    body.len() >= length
}
