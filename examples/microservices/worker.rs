//! The restaurant's counter. A guest publishes an order to the room of a table, and the table gets it with its price once it
//! is taken; the cooks get it in their own room. What is no order, or not on the menu, goes to the dead letters.
//!
//! `counter`; `NATS_URL` (nats://127.0.0.1:4222), `NAMESPACE` (default) and `CHANNEL` (restaurant) say where its work is,
//! `NAME` (counter) what it is called. `examples/microservices/run` starts three of them with everything around.

use linnet_worker::{Channel, Failure, Input, Output, Worker};
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// Where the cooks look.
const KITCHEN: &str = "kitchen";

const MENU: [(&str, u64); 3] = [("soup", 450), ("bread", 220), ("tea", 180)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    dish: String,
    quantity: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or(default.to_owned());
    // It may be there before NATS is.
    let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
    let client = options
        .connect(variable("NATS_URL", "nats://127.0.0.1:4222"))
        .await?;
    let channel = Channel::new(
        &variable("NAMESPACE", "default"),
        &variable("CHANNEL", "restaurant"),
    );
    let name = variable("NAME", "counter");
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    Worker::new(client, channel)
        .named(name.clone())
        .run_until(stop, move |input| {
            let outputs = take(&input, &name);
            async { outputs }
        })
        .await;
    Ok(())
}

/// Takes an order: what the table gets, and what the kitchen gets.
fn take(input: &Input, by: &str) -> Result<Vec<Output>, Failure> {
    // Another try would change nothing.
    let order: Order = input
        .json()
        .map_err(|error| Failure::Dead(format!("no order: {error}")))?;
    let Order { dish, quantity } = order;
    let price = MENU.iter().find(|(name, _)| *name == dish);
    let (_, price) = price.ok_or_else(|| Failure::Dead(format!("{dish} is not on the menu")))?;
    let cents = price * u64::from(quantity);
    let taken = json!({"dish": dish, "quantity": quantity, "cents": cents, "by": by});
    let cook = json!({"table": input.room, "dish": dish, "quantity": quantity});
    Ok(vec![
        input.reply(&taken)?.with_event("taken"),
        input.reply(&cook)?.with_event("cook").to_room(KITCHEN),
    ])
}
