//! The service of `examples/products` as a process of a test's own, and a record of what was committed through it that is
//! not the outbox.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::Value;
use sqlx::Row;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::http::Answer;
use crate::ports;
use crate::postgres::Postgres;
use crate::process::{self, Lines};
use crate::wait::{STEP, within};

/// The room that changes are announced in.
pub const ROOM: &str = "products";

/// Notes each change in the transaction that makes it. The version of a deletion is one more than the product's last.
const RECORD: &str = "CREATE TABLE record (id bigint, version integer, type text, PRIMARY KEY (id, version)); \
     CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN CASE TG_OP \
       WHEN 'INSERT' THEN INSERT INTO record VALUES (NEW.id, NEW.version, 'PRODUCT_CREATED'); \
       WHEN 'UPDATE' THEN INSERT INTO record VALUES (NEW.id, NEW.version, 'PRODUCT_UPDATED'); \
       ELSE INSERT INTO record VALUES (OLD.id, OLD.version + 1, 'PRODUCT_DELETED'); \
       END CASE; RETURN NULL; END $$; \
     CREATE TRIGGER record AFTER INSERT OR UPDATE OR DELETE ON products FOR EACH ROW EXECUTE FUNCTION record()";

/// A running service. It keeps its port over all its lives.
#[derive(Debug)]
pub struct Products {
    child: Child,
    url: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What became of each product: type and version of its changes, in order.
pub type Changes = BTreeMap<i64, Vec<(String, i64)>>;

impl Products {
    /// Starts one on `postgres`, and keeps a record there from now on.
    pub async fn start(postgres: &Postgres) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], ports::lasting()));
        let url = postgres.url();
        let child = launch(address, &url).await;
        postgres.run(RECORD).await;
        Self {
            child,
            url,
            address,
        }
    }

    /// Kills it with SIGKILL and starts it again. The database may be away meanwhile: then it is started again and again.
    pub async fn kill(&mut self) {
        process::end(&mut self.child, "KILL").await;
        self.child = launch(self.address, &self.url).await;
    }
}

async fn launch(address: SocketAddr, url: &str) -> Child {
    let binary = process::binary(
        "LINNET_PRODUCTS_BIN",
        "debug/examples/products",
        "cargo build -p linnet-outbox --example products",
    );
    let listens = async {
        loop {
            let mut child = Command::new(&binary)
                .env("DATABASE_URL", url)
                .env("LISTEN", address.to_string())
                .env_remove("RUST_LOG")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let out = Lines::collect(child.stdout.take().unwrap());
            let listening = out.find(|line| line.starts_with("listening ").then_some(()));
            tokio::select! {
                () = listening => return child,
                // Without a database it ends.
                _ = child.wait() => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    };
    within("the service", STEP, listens).await
}

/// A request to the service at `address`; `None` where it died, and nobody knows what came of it.
pub async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> Option<Answer> {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        std::io::Result::Ok(bytes)
    };
    let bytes = within(("an answer of", address), STEP, exchange).await;
    let answer = Answer::parse(&bytes.ok()?)?;
    let length = answer.header("content-length");
    let is_whole = length.is_none_or(|length| length == answer.body.len().to_string());
    is_whole.then_some(answer)
}

/// What was committed.
///
/// # Panics
/// When the database does not say.
pub async fn committed(postgres: &Postgres) -> Changes {
    let mut connection = postgres.connect().await;
    let record = sqlx::query("SELECT id, type, version::bigint FROM record ORDER BY id, version");
    let record = record.fetch_all(&mut connection).await.unwrap();
    let mut changes = Changes::new();
    for row in record {
        let change = (row.get(1), row.get(2));
        changes.entry(row.get(0)).or_default().push(change);
    }
    changes
}

/// What messages of the room say, in their order.
///
/// # Panics
/// When one is none of the service's.
#[must_use]
pub fn announced<'a>(messages: impl IntoIterator<Item = &'a Value>) -> Changes {
    let mut changes = Changes::new();
    for message in messages {
        let kind = message["type"].as_str().unwrap().to_owned();
        assert!(message["timestamp"].is_string(), "{message}");
        let product = &message["data"];
        let id = product["id"].as_i64().unwrap();
        let version = product["version"].as_i64().unwrap();
        changes.entry(id).or_default().push((kind, version));
    }
    changes
}
