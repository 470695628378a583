//! A worker in Rust, with rdkafka alone.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

type TaskHeaders = HashMap<String, Vec<u8>>;

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// The headers of a record; none if a name is not UTF-8, at which rdkafka panics.
fn headers_of(record: &BorrowedMessage<'_>) -> TaskHeaders {
    let read = || {
        let headers = record.headers()?;
        Some(
            headers
                .iter()
                .filter_map(|header| Some((header.key.to_owned(), header.value?.to_vec())))
                .collect(),
        )
    };
    catch_unwind(AssertUnwindSafe(read))
        .ok()
        .flatten()
        .unwrap_or_default()
}

fn text<'a>(headers: &'a TaskHeaders, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| str::from_utf8(value).ok())
        .unwrap_or_default()
}

/// Other records are skipped: a worker must not crash on them.
fn is_task(headers: &TaskHeaders, results: &str) -> bool {
    text(headers, "kallback-version") == "1"
        && text(headers, "kallback-reply-to") == results
        && headers.contains_key("kallback-token")
        && headers.contains_key("kallback-task-id")
}

fn is_late(headers: &TaskHeaders) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    text(headers, "kallback-deadline")
        .parse::<u128>()
        .is_ok_and(|deadline| now > deadline)
}

/// What the caller should know.
#[derive(Debug)]
struct BadOrder(String);

impl Display for BadOrder {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl Error for BadOrder {}

fn cook(request: &[u8]) -> Result<Value> {
    let order: Value =
        serde_json::from_slice(request).map_err(|error| BadOrder(error.to_string()))?;
    order["id"]
        .as_str()
        .ok_or_else(|| BadOrder("an order has an id".to_owned()))?;
    Ok(json!({"minutes": 12}))
}

/// The problem object of an error of the work, not of Kafka: its caller should know, and all other tasks go on.
fn failure(error: &anyhow::Error) -> Value {
    if error.is::<BadOrder>() {
        return json!({"type": "BadOrder", "status": 422, "detail": error.to_string()});
    }
    eprintln!("{error:?}");
    json!({"type": "urn:kallback:unexpected-error", "status": 500, "detail": error.to_string()})
}

async fn send_result(
    producer: &FutureProducer,
    task: &TaskHeaders,
    request: &[u8],
    results: &str,
) -> Result<()> {
    let cooked =
        catch_unwind(|| cook(request)).unwrap_or_else(|_| Err(anyhow!("the work panicked"))); // the panic has been printed
    let (status, value) = match cooked {
        Ok(value) => ("completed", value),
        Err(error) => ("failed", failure(&error)),
    };
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "kallback-token",
            value: task.get("kallback-token"),
        })
        .insert(Header {
            key: "kallback-status",
            value: Some(status),
        });
    let value = value.to_string();
    let result = FutureRecord::to(results)
        .key(&task["kallback-task-id"])
        .payload(&value)
        .headers(headers);
    let sent = producer.send(result, Duration::from_secs(60)).await;
    sent.map(|_| ())
        .map_err(|(error, _)| anyhow!(error).context("the result was not acknowledged"))
}

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = setting("BROKERS", "localhost:9092");
    let tasks = setting("TASKS", "restaurant.prepare");
    let results = setting("RESULTS", "kallback.results"); // this worker answers to no other topic
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("group.id", setting("GROUP", "kitchen"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("session.timeout.ms", "10000")
        .create()?;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("enable.idempotence", "true")
        .create()?;
    consumer.subscribe(&[&tasks])?;
    loop {
        let record = match consumer.recv().await {
            Ok(record) => record,
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        let headers = headers_of(&record);
        if !is_task(&headers, &results) {
            println!(
                "skipped, no task: {}[{}] offset {}",
                record.topic(),
                record.partition(),
                record.offset()
            );
        } else if !is_late(&headers) {
            let request = record.payload().unwrap_or(b"null");
            send_result(&producer, &headers, request, &results).await?; // ends the process: Kafka delivers the task again
        }
        consumer.commit_message(&record, CommitMode::Sync)?;
    }
}
