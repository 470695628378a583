"""What a scrape shows."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from tests.unit.bridge.environment import BridgeEnv
from tests.unit.bridge.factories import RecordFactory

from kallback.bridge import Bridge, BridgeOptions, Rejected, Retry
from kallback.bridge.observability.metrics import BridgeCollector
from kallback.health.exposition import exposition
from kallback.kafka import OutgoingRecord
from kallback.kafka.records import HEADER_BYTES, RECORD_BYTES
from kallback.testing.polling import eventually


def scrape(bridge: Bridge) -> dict[tuple[str, tuple[str, ...]], float]:
    """Samples by name (without our prefix) and label values in the order of the labels' names."""
    body, _ = exposition(BridgeCollector(bridge))("text/plain")
    return {
        (sample.name.removeprefix("kallback_bridge_"), tuple(value for _, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


async def test_what_became_of_records(env: BridgeEnv, make: RecordFactory) -> None:
    """Counts by outcome, reason and the verified task type; dead letters by reason."""
    env.broker.append(make.completed())
    env.broker.append(make.completed(value=b"oops"))
    env.broker.append(make.completed("kb1:nonsense"))
    async with env.bridge() as bridge:
        await env.settle(3)
        seen = scrape(bridge)
    assert seen["records_fetched_total", ()] == 3
    assert seen["records_settled_total", ("delivered", "", "kitchen.prepare")] == 1
    assert seen["records_settled_total", ("unusable", "not-json", "kitchen.prepare")] == 1
    assert seen["records_settled_total", ("unverified", "malformed-token", "(unverified)")] == 1
    assert (seen["dead_letters_total", ("not-json",)], seen["dead_letters_total", ("wrong-tag",)]) == (1, 0)
    assert seen["summarized_records_total", ("wrong-tag",)] == 0  # a rate sees the first one


async def test_latency_is_from_the_records_timestamp(env: BridgeEnv, make: RecordFactory) -> None:
    """A record that was written two seconds ago took two seconds; buckets add up."""
    env.broker.append(make.completed())
    env.now += 2.0
    async with env.bridge() as bridge:
        await env.settle(1)
        seen = scrape(bridge)
    bucket = "completion_latency_seconds_bucket"
    assert seen[bucket, ("1.0", "kitchen.prepare")] == 0
    assert seen[bucket, ("2.5", "kitchen.prepare")] == seen[bucket, ("+Inf", "kitchen.prepare")] == 1
    assert seen["completion_latency_seconds_sum", ("kitchen.prepare",)] == 2.0


async def test_what_restate_does_not_take_has_no_latency(env: BridgeEnv, make: RecordFactory) -> None:
    """Only accepted completions are measured."""
    env.reply = lambda _: Rejected("no")
    env.broker.append(make.completed())
    async with env.bridge() as bridge:
        await env.settle(1)
        seen = scrape(bridge)
    assert not [name for name, _ in seen if name.startswith("completion_latency")]
    assert seen["dead_letters_total", ("rejected",)] == 1


async def test_replies_and_retries(env: BridgeEnv, make: RecordFactory) -> None:
    """Each reply by its label; what was not taken is a retry."""
    replies = [Retry("503", "busy"), Retry("timeout", "slow")]
    accepted = env.reply
    env.reply = lambda it: replies.pop() if replies else accepted(it)
    env.broker.append(make.completed())
    async with env.bridge() as bridge:
        await env.settle(1)
        seen = scrape(bridge)
    assert [seen["replies_total", (label,)] for label in ("202", "503", "timeout")] == [1, 1, 1]
    assert (seen["completion_attempts_total", ()], seen["completion_retries_total", ()]) == (3, 2)


def held_bytes(record: OutgoingRecord) -> int:
    """Bytes of key, value and headers, and of the objects around them."""
    headers = sum(HEADER_BYTES + len(name) + len(value or b"") for name, value in record.headers)
    return RECORD_BYTES + len(record.key or b"") + len(record.value or b"") + headers


async def test_what_is_in_flight(env: BridgeEnv, make: RecordFactory) -> None:
    """Records, bytes, lag, window and the age of the oldest."""
    env.hold.clear()
    records = [make.completed(value=b"12345") for _ in range(4)]
    for record in records:
        env.broker.append(record)
    async with env.bridge(BridgeOptions(drain_timeout=0.0)) as bridge:
        await eventually("four in flight", lambda: len(env.posted) == 4)
        env.monotonic += 7.0
        seen = scrape(bridge)
    assert (seen["in_flight_records", ()], seen["in_flight_bytes", ()]) == (4, sum(map(held_bytes, records)))
    assert seen["oldest_in_flight_seconds", ()] == 7.0
    here = ("0", "kallback.results")
    assert (seen["partition_lag_records", here], seen["partition_in_flight_records", here]) == (4, 4)
    assert seen["partition_window_ratio", here] == 4 / bridge.options.consumer.window
    assert (seen["assigned_partitions", ()], seen["rebalances_total", ()]) == (1, 1)


async def test_the_breaker_shows(env: BridgeEnv, make: RecordFactory) -> None:
    """Away, and back again."""
    accepted = env.reply
    env.reply = lambda _: Retry("unreachable", "refused")
    for _ in range(20):
        env.broker.append(make.completed())
    async with env.bridge() as bridge:
        await eventually("Restate to be unavailable", lambda: scrape(bridge)["restate_available", ()] == 0)
        away = scrape(bridge)["ready", ()]
        env.reply = accepted
        await env.settle(20)
        seen = scrape(bridge)
    assert (away, seen["restate_available", ()], seen["ready", ()]) == (0, 1, 1)


async def test_a_bridge_that_never_started_can_be_scraped(env: BridgeEnv) -> None:
    """The port is up before the bridge is."""
    seen = scrape(env.bridge())
    assert (seen["ready", ()], seen["assigned_partitions", ()]) == (0, 0)
    assert not [name for name, _ in seen if name.startswith("partition_")]


async def test_no_secret_is_exposed(env: BridgeEnv, make: RecordFactory) -> None:
    """Neither token nor task id nor awakeable id stands in a metric."""
    text = make.sign(token := make.token())
    env.broker.append(make.completed(text))
    async with env.bridge() as bridge:
        await env.settle(1)
        body = exposition(BridgeCollector(bridge))("text/plain")[0].decode()
    assert not [part for part in (text, token.task_id, token.awakeable_id, text[-22:]) if part in body]


async def test_open_metrics_for_who_asks(env: BridgeEnv) -> None:
    """Prometheus asks for OpenMetrics."""
    body, content_type = exposition(BridgeCollector(env.bridge()))("application/openmetrics-text;version=1.0.0;q=0.8")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
