//! From a commit to the message at a client: table, relay and gateway, against the bare steps that nothing can do without.

use std::{thread, time::Instant};

use anyhow::{Context, Result, ensure};
use sqlx::{
    Connection,
    postgres::{PgConnection, PgListener},
};
use tokio::{runtime::Runtime, task::JoinHandle};

use super::{Settings, manifest::Channel, nats::relay_way, progress};
use crate::{
    load::{
        Latency, Plan, Protocol, Schedule,
        marker::{self, Marker},
    },
    measure::monotonic_ns,
    nats::{Entry, Way, pair, send::one_thread},
    process::{Gateway, Load, NatsServer, Outbox, Postgres, Secrets},
    report::{Curve, Report, Row, Unit},
    stats::Summary,
};

const ROOM: &str = "outbox";
const TARGET: f64 = 1.5;

const TABLES: &str = concat!(
    include_str!("../../../outbox/schema.sql"),
    "CREATE TABLE counters (name text PRIMARY KEY, count bigint NOT NULL);
     INSERT INTO counters VALUES ('one', 0);
     CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data text NOT NULL);
     CREATE FUNCTION bare_wake() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN PERFORM pg_notify('bare', NEW.id || ' ' || NEW.data); RETURN NULL; END $$;
     CREATE TRIGGER bare_wake AFTER INSERT ON bare FOR EACH ROW EXECUTE FUNCTION bare_wake();"
);
const LOCK: &str = "UPDATE counters SET count = count + 1 WHERE name = 'one'";
const OURS: &str =
    "INSERT INTO linnet_outbox (aggregate, room, data) VALUES ('one', 'outbox', $1::text::json)";
const BARE: &str = "INSERT INTO bare (data) VALUES ($1)";

/// Measures transactions at a fixed rate.
pub fn run(settings: &Settings) -> Result<Report> {
    let schedule = Schedule {
        per_second: settings.pick(100.0, 50.0),
        burst: 1,
        seconds: settings.pick(10.0, 0.5),
        data_bytes: 128,
    };
    let warm_up = Schedule {
        seconds: schedule.seconds.min(2.0),
        ..schedule
    };
    let mut report = Report::new("outbox", "From a commit to the message at a client");
    report.method = format!(
        "One connection to PostgreSQL makes {} transactions/s, each of which locks and changes a row and inserts a message \
         of 128 bytes; from just before that insert to the receiver's parser, in windows of {} s after a warm-up. Ours is \
         linnet-outbox, a gateway over NATS and a WebSocket client. The reference is one task that is notified with the \
         message itself, publishes it to a stream of the gateway's configuration, awaits the ack and deletes the row; its \
         client is one of async-nats. Both have a trigger that notifies. Each window has fresh processes but for \
         PostgreSQL and NATS, which stay; the order alternates.",
        schedule.per_second, schedule.seconds
    );
    let (nats, postgres, secrets) = (NatsServer::start()?, Postgres::start()?, Secrets::write()?);
    one_thread()?.block_on(async {
        let mut connection = PgConnection::connect(&postgres.url()).await?;
        sqlx::raw_sql(TABLES).execute(&mut connection).await
    })?;
    let setting = Setting {
        settings,
        nats: &nats,
        postgres: &postgres,
        secrets: &secrets,
        schedule,
        warm_up,
    };
    // Makes the stream that the reference's is a copy of.
    drop(setting.gateway()?);
    let way = relay_way(&nats, true, ROOM)?;
    let mut series: [Vec<Latency>; 2] = Default::default();
    for pair in 0..settings.pairs {
        progress(&format!("outbox: pair {} of {}", pair + 1, settings.pairs));
        // Neither side always runs on the machine that the other has just warmed or tired.
        for of in [pair % 2, (pair + 1) % 2] {
            series[of].push(match of {
                0 => setting.ours()?,
                _ => setting.bare(&way)?,
            });
        }
    }
    add_rows(&mut report, &series);
    Ok(report)
}

/// A quantile's name, and what it is of a window.
type Quantile = (&'static str, fn(&Latency) -> f64);

fn add_rows(report: &mut Report, series: &[Vec<Latency>; 2]) {
    let of = |of: usize, value: fn(&Latency) -> f64| -> Vec<f64> {
        series[of].iter().map(value).collect()
    };
    let quantiles: [Quantile; 2] = [
        ("p50", |latency| latency.p50),
        ("p99", |latency| latency.p99),
    ];
    for (what, value) in quantiles {
        let ratios = Summary::of_ratios(&of(0, value), &of(1, value));
        report.rows.extend(ratios.map(|ratios| {
            Row::new(format!("outbox / bare steps: {what}"), Unit::Ratio, ratios).at_most(TARGET)
        }));
    }
    for (number, name) in ["outbox", "bare steps"].into_iter().enumerate() {
        for (what, value) in quantiles {
            report.rows.extend(
                Summary::of(of(number, value))
                    .map(|value| Row::new(format!("{name}: {what}"), Unit::Microseconds, value)),
            );
        }
        let curves = series[number].iter().map(|latency| latency.curve.clone());
        let curves: Vec<_> = curves.collect();
        report.curves.push(Curve::median(name, &curves));
    }
}

struct Setting<'a> {
    settings: &'a Settings,
    nats: &'a NatsServer,
    postgres: &'a Postgres,
    secrets: &'a Secrets,
    schedule: Schedule,
    warm_up: Schedule,
}

impl Setting<'_> {
    fn gateway(&self) -> Result<Gateway> {
        let manifest = Channel {
            history: true,
            nats: Some(self.nats.port),
            api_keys: Some("keys"),
            ..Channel::default()
        }
        .to_yaml();
        let mut settings = self.settings.clone();
        settings.gateway_arguments.push(self.secrets.argument());
        settings.start_gateway_on_nats(&manifest, "a")
    }

    fn ours(&self) -> Result<Latency> {
        let gateway = self.gateway()?;
        let _relay = Outbox::start(self.postgres, gateway.internal()?, self.secrets)?;
        let mut load = Load::start()?;
        let plan = Plan::new(gateway.target.address, Protocol::Json, ROOM, 1);
        let group = load.open(plan)?.group;
        self.write(OURS, self.warm_up)?;
        load.settle_exactly(group, self.warm_up.messages(), 1)?;
        load.snapshot(group, true)?;
        self.write(OURS, self.schedule)?;
        let received = load.settle_exactly(group, self.schedule.messages(), 1)?;
        ensure!(
            received.lost + received.reordered + received.duplicated == 0,
            "messages lost, reordered or doubled"
        );
        Ok(received.latency)
    }

    fn bare(&self, way: &Way) -> Result<Latency> {
        let (relaying, receiving) = (one_thread()?, one_thread()?);
        let both = Schedule {
            seconds: self.warm_up.seconds + self.schedule.seconds,
            ..self.schedule
        };
        let messages = receiving.block_on(way.clone().leave())?;
        let received = pair::receive(messages, both.messages(), self.warm_up.messages());
        let received = receiving.spawn(received);
        let relay = self.relay(&relaying, way)?;
        self.write(BARE, both)?;
        let latency = receiving.block_on(received)??;
        relay.abort();
        Ok(latency)
    }

    /// Begins the bare steps: notified, published, acknowledged, deleted.
    fn relay(&self, runtime: &Runtime, way: &Way) -> Result<JoinHandle<Result<()>>> {
        let (url, way) = (self.postgres.url(), way.clone());
        let (listener, connection, entry) = runtime.block_on(async {
            let mut listener = PgListener::connect(&url).await?;
            listener.listen("bare").await?;
            let connection = PgConnection::connect(&url).await?;
            anyhow::Ok((listener, connection, way.enter().await?))
        })?;
        Ok(runtime.spawn(relay(listener, connection, entry)))
    }

    /// Makes transactions by `schedule`, each of which puts a message in by `insert`.
    fn write(&self, insert: &'static str, schedule: Schedule) -> Result<()> {
        let runtime = one_thread()?;
        let mut connection = runtime.block_on(PgConnection::connect(&self.postgres.url()))?;
        let begun = Instant::now();
        for sequence in 0..schedule.messages() {
            let due = begun + schedule.interval().mul_f64(sequence as f64);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            runtime.block_on(async {
                let mut transaction = connection.begin().await?;
                sqlx::query(LOCK).execute(&mut *transaction).await?;
                let sent_ns = monotonic_ns();
                let data = marker::json_string(schedule.data_bytes, Marker { sequence, sent_ns });
                let data = String::from_utf8(data)?;
                let insert = sqlx::query(insert).bind(data);
                insert.execute(&mut *transaction).await?;
                transaction.commit().await?;
                anyhow::Ok(())
            })?;
        }
        Ok(())
    }
}

/// The bare steps, for ever.
async fn relay(mut listener: PgListener, mut connection: PgConnection, entry: Entry) -> Result<()> {
    loop {
        let told = listener.recv().await?;
        let (id, data) = told.payload().split_once(' ').context("no message")?;
        let ack = entry.publish(data.to_owned().into()).await?;
        ack.context("no stream")?.await?;
        let delete = sqlx::query("DELETE FROM bare WHERE id = $1").bind(id.parse::<i64>()?);
        delete.execute(&mut connection).await?;
    }
}
