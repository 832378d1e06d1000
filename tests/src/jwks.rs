//! A server that publishes keys, well or badly.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::issuer::Signer;

/// How the server answers.
#[derive(Debug, Clone)]
pub enum Mood {
    /// With these bytes after the head of a 200.
    Says(Vec<u8>),
    /// With this status and an error page.
    Fails(u16),
    /// Not at all, and keeps the connection.
    Hangs,
    /// A byte a second, for ever.
    Drips,
    /// By hanging up.
    HangsUp,
    /// With a redirect to itself.
    Redirects,
}

impl Mood {
    /// The public keys of these.
    #[must_use]
    pub fn keys(signers: &[&Signer]) -> Self {
        let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
        Self::Says(json!({ "keys": keys }).to_string().into_bytes())
    }

    /// A set that is far too large.
    #[must_use]
    pub fn huge(signer: &Signer) -> Self {
        let padding = "x".repeat(1 << 20);
        let set = json!({"keys": [signer.jwk()], "padding": padding});
        Self::Says(set.to_string().into_bytes())
    }
}

/// The server; it ends when dropped.
#[derive(Debug)]
pub struct Jwks {
    address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<Mutex<u32>>,
    task: JoinHandle<()>,
}

impl Drop for Jwks {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Jwks {
    /// A server in this mood.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, asked) = (Arc::new(Mutex::new(mood)), Arc::<Mutex<u32>>::default());
        let (moods, count) = (Arc::clone(&mood), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *count.lock().unwrap() += 1;
                let mood = moods.lock().unwrap().clone();
                tokio::spawn(answer(stream, mood, address));
            }
        });
        Self {
            address,
            mood,
            asked,
            task,
        }
    }

    /// Where the keys are.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    /// Answers like this from now on.
    ///
    /// # Panics
    /// When another thread has panicked.
    pub fn turn(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// How often it was asked.
    ///
    /// # Panics
    /// When another thread has panicked.
    #[must_use]
    pub fn asked(&self) -> u32 {
        *self.asked.lock().unwrap()
    }
}

async fn answer(mut stream: TcpStream, mood: Mood, address: SocketAddr) {
    let mut request = vec![0; 4096];
    let _ = stream.read(&mut request).await;
    let head = match &mood {
        Mood::Says(body) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()),
        Mood::Fails(status) => {
            format!("HTTP/1.1 {status} Oh\r\nContent-Length: 13\r\n\r\n<html></html>")
        }
        Mood::Redirects => format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{address}/keys\r\nContent-Length: 0\r\n\r\n"
        ),
        Mood::Drips => "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_owned(),
        Mood::Hangs => return std::future::pending().await,
        Mood::HangsUp => return,
    };
    // Whoever asked may have given up.
    let _ = stream.write_all(head.as_bytes()).await;
    match mood {
        Mood::Says(body) => {
            let _ = stream.write_all(&body).await;
        }
        Mood::Drips => {
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        _ => {}
    }
}
