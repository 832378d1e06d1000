//! A client of a stream of events, as strict as an `EventSource`, which does not come back by itself.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::http::Answer;
use crate::wait::{STEP, within};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name; `message` where it has none.
    pub name: String,
    /// Its data.
    pub data: Value,
}

/// An open stream.
#[derive(Debug)]
pub struct Events {
    stream: TcpStream,
    /// Taken out of chunks, not read yet.
    text: Vec<u8>,
    chunked: Option<Chunks>,
    /// What a browser would send back.
    pub last_event_id: Option<String>,
    /// What it was told to wait, in milliseconds.
    pub retry: Option<u64>,
    /// Comments so far.
    pub comments: usize,
    /// The answer's head.
    pub head: Answer,
}

/// What is not taken out of chunks yet.
#[derive(Debug, Default)]
struct Chunks {
    bytes: Vec<u8>,
    ended: bool,
}

impl Events {
    /// Opens the stream of `query`, with these header lines.
    ///
    /// # Errors
    /// The answer, where it is not a stream.
    ///
    /// # Panics
    /// When the server can't be reached or makes no sense.
    pub async fn open(addr: SocketAddr, query: &str, headers: &str) -> Result<Self, Answer> {
        let stream = within("a connection", STEP, TcpStream::connect(addr)).await;
        let request = format!("GET /sse?{query} HTTP/1.1\r\nHost: {addr}\r\n{headers}\r\n");
        Self::ask(stream.unwrap(), &request).await
    }

    /// [`Self::open`] with a receive buffer of 4096 bytes.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn narrow(addr: SocketAddr, query: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(addr).await.unwrap();
        let request = format!("GET /sse?{query} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
        Self::ask(stream, &request).await.unwrap()
    }

    /// Sends `request` as it is.
    ///
    /// # Errors
    /// The answer, where it is not a stream.
    ///
    /// # Panics
    /// When the server makes no sense.
    pub async fn ask(mut stream: TcpStream, request: &str) -> Result<Self, Answer> {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let end = within("the head of an answer", STEP, async {
            loop {
                let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
                if let Some(end) = end {
                    return end + 4;
                }
                assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "no answer");
            }
        });
        let end = end.await;
        let head = Answer::parse(&bytes[..end]).unwrap();
        let is_stream = head.header("content-type") == Some("text/event-stream");
        if head.status != 200 || !is_stream {
            let rest =
                async { while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {} };
            // Where the server keeps the connection, the body is here already.
            let _ = tokio::time::timeout(std::time::Duration::from_millis(500), rest).await;
            return Err(Answer::parse(&bytes).unwrap());
        }
        let rest = bytes.split_off(end);
        let chunked = head.header("transfer-encoding") == Some("chunked");
        let mut events = Self {
            stream,
            text: Vec::new(),
            chunked: chunked.then(Chunks::default),
            last_event_id: None,
            retry: None,
            comments: 0,
            head,
        };
        events.take(rest);
        Ok(events)
    }

    /// The next event; `None` at the end of the stream.
    pub async fn try_next(&mut self) -> Option<Event> {
        within("an event", STEP, async {
            loop {
                while let Some(block) = self.block() {
                    if let Some(event) = self.dispatch(&block) {
                        return Some(event);
                    }
                }
                if !self.read().await {
                    return None;
                }
            }
        })
        .await
    }

    /// The next event.
    ///
    /// # Panics
    /// At the end of the stream.
    pub async fn next(&mut self) -> Event {
        self.try_next().await.expect("an event, not the end")
    }

    /// The data of the next event, which is called so.
    ///
    /// # Panics
    /// Where it is called otherwise.
    pub async fn next_of(&mut self, name: &str) -> Value {
        let event = self.next().await;
        assert_eq!(event.name, name, "{event:?}");
        event.data
    }

    /// Reads what comes without events, until `test` likes it.
    ///
    /// # Panics
    /// When an event comes, or the end.
    pub async fn until(&mut self, what: &str, test: impl Fn(&Self) -> bool) {
        within(what, STEP, async {
            loop {
                while let Some(block) = self.block() {
                    if let Some(event) = self.dispatch(&block) {
                        panic!("{event:?}");
                    }
                }
                if test(self) {
                    return;
                }
                assert!(self.read().await, "the end, before {what}");
            }
        })
        .await;
    }

    async fn read(&mut self) -> bool {
        let mut bytes = vec![0; 64 * 1024];
        if self.chunked.as_ref().is_some_and(|chunks| chunks.ended) {
            return false;
        }
        match self.stream.read(&mut bytes).await {
            Ok(count @ 1..) => {
                bytes.truncate(count);
                self.take(bytes);
                true
            }
            _ => false,
        }
    }

    fn take(&mut self, bytes: Vec<u8>) {
        let Some(chunks) = &mut self.chunked else {
            return self.text.extend(bytes);
        };
        chunks.bytes.extend(bytes);
        loop {
            let Some(end) = chunks.bytes.windows(2).position(|two| two == b"\r\n") else {
                return;
            };
            let size = std::str::from_utf8(&chunks.bytes[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let (start, end) = (end + 2, end + 2 + size);
            if chunks.bytes.len() < end + 2 {
                return;
            }
            assert_eq!(&chunks.bytes[end..end + 2], b"\r\n");
            self.text.extend(&chunks.bytes[start..end]);
            chunks.bytes.drain(..end + 2);
            chunks.ended |= size == 0;
        }
    }

    /// The next lines up to an empty one.
    fn block(&mut self) -> Option<String> {
        let end = self.text.windows(2).position(|two| two == b"\n\n")?;
        let block: Vec<u8> = self.text.drain(..end + 2).collect();
        Some(String::from_utf8(block).unwrap())
    }

    fn dispatch(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut data) = ("message".to_owned(), Vec::new());
        for line in block.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap();
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => self.comments += 1,
                "id" => self.last_event_id = Some(value.to_owned()),
                "event" => name = value.to_owned(),
                "data" => data.push(value.to_owned()),
                "retry" => self.retry = Some(value.parse().unwrap()),
                _ => panic!("{line}"),
            }
        }
        let data = data.join("\n");
        (!data.is_empty()).then(|| Event {
            name,
            data: serde_json::from_str(&data).unwrap(),
        })
    }
}
