//! A shop's products over REST, on PostgreSQL. Each change puts a message into the outbox, in its own transaction:
//! linnet-outbox publishes it to the room `products` once it is committed, and never what was rolled back.
//!
//! `DATABASE_URL=postgres://… products`; `LISTEN` is its own address (127.0.0.1:8090), `CHANNEL_URL` where browsers find
//! the gateways (ws://127.0.0.1:8080/ws). `examples/products/run` starts it with everything around it.

use anyhow::Context as _;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Json, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Router, serve};
use serde::Deserialize;
use serde_json::json;
use sqlx::postgres::{PgArguments, PgPool, PgPoolOptions};
use sqlx::{Error, Postgres, Row};
use tokio::signal::unix::{SignalKind, signal};

/// What makes the tables; it may run again. One of several services makes them, the others wait.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('products'))";
const PRODUCTS: &str = include_str!("schema.sql");
const OUTBOX: &str = include_str!("../../outbox/schema.sql");

const LIST: &str = "SELECT coalesce(json_agg(products ORDER BY id), '[]')::text FROM products";
const GET: &str = "SELECT to_json(products)::text FROM products WHERE id = $1";
// Each of these locks the product's row. Whoever is first here is first in the outbox too.
const CREATE: &str = "INSERT INTO products (name, price_cents) VALUES ($1, $2) RETURNING id, to_json(products)::text";
const UPDATE: &str = "UPDATE products SET name = $1, price_cents = $2, version = version + 1 WHERE id = $3 \
     RETURNING id, to_json(products)::text";
const DELETE: &str = "DELETE FROM products WHERE id = $1 \
     RETURNING id, json_build_object('id', id, 'version', version + 1)::text";
// The message tells its own id: by that the relay finds it in the room, should it come back late.
const SAY: &str = "INSERT INTO linnet_outbox (id, aggregate, room, event, data) \
     SELECT id, 'product/' || $1::bigint, 'products', $2::text, \
     json_build_object('id', id, 'type', $2::text, 'data', $3::json, 'timestamp', clock_timestamp()) \
     FROM gen_random_uuid() AS id";
const WELCOME: &str = "SELECT json_build_object('type', 'WELCOME', 'timestamp', clock_timestamp(), 'data', \
     json_build_object('products', coalesce(json_agg(products ORDER BY id), '[]')))::text FROM products";

const CLIENT: &str = include_str!("../../clients/js/src/linnet.js");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or(default.to_owned());
    let database = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let pool = PgPoolOptions::new()
        .connect(&database)
        .await
        .context("no database")?;
    prepare(&pool).await?;
    let shop = Shop {
        pool,
        channel: variable("CHANNEL_URL", "ws://127.0.0.1:8080/ws"),
    };
    let listener = tokio::net::TcpListener::bind(variable("LISTEN", "127.0.0.1:8090")).await?;
    println!("listening {}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    serve(listener, routes(shop))
        .with_graceful_shutdown(stop)
        .await?;
    Ok(())
}

async fn prepare(pool: &PgPool) -> Result<(), Error> {
    let mut transaction = pool.begin().await?;
    for sql in [LOCK, PRODUCTS, OUTBOX] {
        sqlx::raw_sql(sql).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

#[derive(Clone)]
struct Shop {
    pool: PgPool,
    /// Where browsers find the gateways.
    channel: String,
}

fn routes(shop: Shop) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route(
            "/page.js",
            get(|| async { script(include_str!("page.js")) }),
        )
        .route("/linnet.js", get(|| async { script(CLIENT) }))
        .route(
            "/channel",
            get(|State(shop): State<Shop>| async move { shop.channel }),
        )
        .route("/healthz", get(healthz))
        .route("/welcome", get(welcome))
        .route("/products", get(list).post(create))
        .route("/products/{id}", get(read).put(update).delete(remove))
        .with_state(shop)
}

fn script(text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript")], text)
}

/// What a product is made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    name: String,
    price_cents: i64,
}

/// `?dry_run=true` does everything and rolls it back.
#[derive(Deserialize)]
struct Mode {
    #[serde(default)]
    dry_run: bool,
}

type Change = sqlx::query::Query<'static, Postgres, PgArguments>;
type Answer = Result<Response, Trouble>;

impl Shop {
    /// Changes a product and says so, both or neither; gives what became of it.
    async fn change(
        &self,
        event: &'static str,
        change: Change,
        mode: &Mode,
    ) -> Result<String, Trouble> {
        let mut transaction = self.pool.begin().await?;
        let changed = change.fetch_optional(&mut *transaction).await?;
        let changed = changed.ok_or(Trouble::Missing)?;
        let (id, product): (i64, String) = (changed.try_get(0)?, changed.try_get(1)?);
        let say = sqlx::query(SAY).bind(id).bind(event).bind(&product);
        say.execute(&mut *transaction).await?;
        match mode.dry_run {
            true => transaction.rollback().await?,
            false => transaction.commit().await?,
        }
        Ok(product)
    }

    async fn ask(&self, question: Change) -> Answer {
        let row = question.fetch_optional(&self.pool).await?;
        let row = row.ok_or(Trouble::Missing)?;
        Ok(answer(StatusCode::OK, row.try_get(0)?))
    }
}

async fn list(State(shop): State<Shop>) -> Answer {
    shop.ask(sqlx::query(LIST)).await
}

/// What a page gets first: a message like those of the room, with all products as they are now.
async fn welcome(State(shop): State<Shop>) -> Answer {
    shop.ask(sqlx::query(WELCOME)).await
}

async fn read(State(shop): State<Shop>, Path(id): Path<i64>) -> Answer {
    shop.ask(sqlx::query(GET).bind(id)).await
}

async fn create(
    State(shop): State<Shop>,
    Query(mode): Query<Mode>,
    product: Result<Json<Product>, JsonRejection>,
) -> Answer {
    let Json(product) = product?;
    let create = sqlx::query(CREATE)
        .bind(product.name)
        .bind(product.price_cents);
    let product = shop.change("PRODUCT_CREATED", create, &mode).await?;
    Ok(answer(StatusCode::CREATED, product))
}

async fn update(
    State(shop): State<Shop>,
    Path(id): Path<i64>,
    Query(mode): Query<Mode>,
    product: Result<Json<Product>, JsonRejection>,
) -> Answer {
    let Json(product) = product?;
    let update = sqlx::query(UPDATE)
        .bind(product.name)
        .bind(product.price_cents);
    let product = shop
        .change("PRODUCT_UPDATED", update.bind(id), &mode)
        .await?;
    Ok(answer(StatusCode::OK, product))
}

async fn remove(State(shop): State<Shop>, Path(id): Path<i64>, Query(mode): Query<Mode>) -> Answer {
    let remove = sqlx::query(DELETE).bind(id);
    shop.change("PRODUCT_DELETED", remove, &mode).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn healthz(State(shop): State<Shop>) -> Answer {
    sqlx::query("SELECT 1").execute(&shop.pool).await?;
    Ok("well\n".into_response())
}

fn answer(status: StatusCode, json: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// Why a request was not done.
enum Trouble {
    Missing,
    Refused(String),
    /// Whether a change was committed is unknown, where the connection broke at the commit.
    Database(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error.as_database_error() {
            Some(refused) if refused.is_check_violation() => {
                Self::Refused(refused.message().to_owned())
            }
            _ => Self::Database(error),
        }
    }
}

impl From<JsonRejection> for Trouble {
    fn from(error: JsonRejection) -> Self {
        Self::Refused(error.body_text())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (status, reason) = match self {
            Self::Missing => (StatusCode::NOT_FOUND, "there is no such product".to_owned()),
            Self::Refused(reason) => (StatusCode::BAD_REQUEST, reason),
            Self::Database(error) => {
                tracing::error!("{error}");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the database is away".to_owned(),
                )
            }
        };
        answer(status, json!({"error": reason}).to_string())
    }
}
