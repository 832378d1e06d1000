//! Someone in the chat: `chat-client HOST:PORT NAME OTHER TEXT…` waits for OTHER, says the texts, prints what the room says,
//! and ends once it has heard as many messages from each of both.

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const ROOM: &str = "chat";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut next = || {
        args.next()
            .context("chat-client HOST:PORT NAME OTHER TEXT…")
    };
    let (address, name, other) = (next()?, next()?, next()?);
    let texts: Vec<String> = args.collect();
    let mut request = format!("ws://{address}/ws?name={name}").into_client_request()?;
    let protocol = "linnet.v1.json".parse()?;
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    let stream = tokio::net::TcpStream::connect(&address).await?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    let subscribe = json!({"type": "subscribe", "id": 0, "room": ROOM, "presence": true});
    socket.send(Message::text(subscribe.to_string())).await?;
    // Who is there already is in the answer; who comes later is told.
    let who = json!({"type": "presence", "id": "who", "room": ROOM});
    socket.send(Message::text(who.to_string())).await?;
    let mut left = 2 * texts.len();
    let mut waiting = true;
    while left > 0 {
        let frame = socket.next().await.context("the gateway is gone")??;
        let Message::Text(text) = frame else { continue };
        let frame: Value = serde_json::from_str(&text)?;
        match frame["type"].as_str() {
            Some("presence" | "ack") if waiting && has_come(&frame, &other) => {
                waiting = false;
                for (id, text) in texts.iter().enumerate() {
                    let publish = json!({"type": "publish", "id": id + 1, "room": ROOM, "data": {"text": text}});
                    socket.send(Message::text(publish.to_string())).await?;
                }
            }
            Some("message") => {
                left -= 1;
                let from = frame["info"]["name"].as_str().unwrap_or("somebody");
                println!("{name} hears {from}: {}", frame["data"]);
            }
            Some("error") => bail!("{frame}"),
            _ => {}
        }
    }
    socket.close(None).await?;
    Ok(())
}

/// Whether somebody is among those who come with a presence frame, or are there in an answer.
fn has_come(frame: &Value, name: &str) -> bool {
    let entries = [&frame["join"], &frame["members"]];
    let mut entries = entries.into_iter().filter_map(Value::as_array).flatten();
    entries.any(|entry| entry["info"]["name"] == name)
}
