"""Restate dies, the bridge dies, an address is wrong: nothing is lost, nothing is dead-lettered."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import restate
from tests.integration.bridge.environment import (
    ResultsTopic,
    both_clients,
    open_results_topic,
    waiter,
    with_restate,
)

from kallback.bridge import Backoff, Bridge, BridgeOptions, Clocks
from kallback.bridge.observability.probes import readiness
from kallback.kafka import ConsumerOptions
from kallback.protocol import KafkaUnavailableError, MissingTopicError
from kallback.settings import KafkaSettings, Topics
from kallback.testing import KafkaServer, RestateOptions, RestateServer, Stack, start_restate
from kallback.testing.clients.restate import Admin
from kallback.testing.clients.service_endpoint import serve_endpoint
from kallback.testing.polling import eventually

pytestmark = pytest.mark.integration

QUICK = BridgeOptions(backoff=Backoff(first=0.01, longest=0.05))


async def test_restate_killed_and_restarted_under_load(kafka_server: KafkaServer, topic_names: Topics) -> None:
    """Fetching stops, retries go on; after its return everything is delivered, and handlers have their values."""
    async with AsyncExitStack() as until:
        restate_server = await until.enter_async_context(own_restate())
        await until.enter_async_context(serve_endpoint(restate.app([waiter]), restate_server))
        results = await open_results_topic(Stack(kafka_server, restate_server), topic_names, until)
        bridge = await until.enter_async_context(results.bridge())
        waiting = [await results.waiting_handler() for _ in range(5)]
        await results.fill(500)
        await results.settle(500)

        await asyncio.to_thread(restate_server.kill)
        for each in waiting:
            each.answer.cancel()  # the caller's connection died with the server, the invocation did not
        await results.fill(3000)
        await asyncio.gather(*(results.complete(each.token) for each in waiting))
        await eventually("failed attempts", lambda: bridge.stats.retries >= 10)
        await eventually("fetching to stand still", lambda: stands_still(bridge))
        await asyncio.to_thread(restate_server.start)
        await results.settle(3505)

        assert results.outcomes() == {"delivered": 3505}
        await eventually("completed invocations", lambda: completed(restate_server, len(waiting)))
        assert await results.dead_letters() == {}


async def stands_still(bridge: Bridge) -> bool:
    """Whether nothing is fetched for half a second; a fetch under way may still bring its batch before."""
    fetched = bridge.stats.fetched
    await asyncio.sleep(0.5)
    return bridge.stats.fetched == fetched


@asynccontextmanager
async def own_restate(configuration: dict[str, Any] | None = None) -> AsyncGenerator[RestateServer]:
    """A Restate that may be killed."""
    context = start_restate(RestateOptions(configuration=configuration or {}))
    server = await asyncio.to_thread(context.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


async def completed(server: RestateServer, count: int) -> bool:
    """Whether so many handlers have ended well."""
    async with Admin(server.admin_url) as admin:
        rows = await admin.query("SELECT status, completion_result FROM sys_invocation")
    return len([row for row in rows if row["completion_result"] == "success"]) == count


async def no_lag(results: ResultsTopic) -> bool:
    """Whether all positions are committed."""
    return await results.lag() == 0


def one_each(first: Bridge, second: Bridge) -> bool:
    """Whether both bridges own a partition."""
    statuses = [bridge.group_status() for bridge in (first, second)]
    return all(status is not None and len(status.partitions) == 1 for status in statuses)


async def test_a_value_that_restate_does_not_take(kafka_server: KafkaServer, topic_names: Topics) -> None:
    """413: the handler fails at once with a problem of our type, and the record is dead-lettered."""
    async with AsyncExitStack() as until:
        restate_server = await until.enter_async_context(own_restate({"ingress.request-size-limit": "100 KiB"}))
        await until.enter_async_context(serve_endpoint(restate.app([waiter]), restate_server))
        results = await open_results_topic(Stack(kafka_server, restate_server), topic_names, until)
        waiting = await results.waiting_handler()
        position = await results.complete(waiting.token, json.dumps("x" * 500_000).encode())
        async with results.bridge():
            await results.settle(1)
            envelope = await waiting.envelope()

        assert envelope["error"]["type"] == "urn:kallback:unusable-result"
        assert [(it.outcome, it.reason) for it in results.settled] == [("unusable", "too-large")]
        assert (position.partition, position.offset) in await results.dead_letters()


@dataclass
class BridgeProcess:
    """A bridge in a process of its own, to be killed."""

    process: asyncio.subprocess.Process

    async def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        await self.process.wait()


DAEMON = """
import sys
from kallback.bridge import Bridge, BridgeOptions, Client
from kallback.cli.runner import serve
from kallback.kafka import ConsumerOptions
from kallback.settings import Settings

consumer = ConsumerOptions(group_instance_id="one")
options = BridgeOptions(outcomes=True, concurrency=4, consumer=consumer, client=Client(sys.argv[1]))
serve(Bridge(Settings.from_env(), options))
"""


def environment(results: ResultsTopic) -> dict[str, str]:
    """The variables that a process of its own needs."""
    return {
        **os.environ,
        "KALLBACK_KEYS": "k1:" + base64.b64encode(hashlib.sha256(b"one").digest()).decode(),
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": results.settings.kafka.bootstrap_servers,
        "KALLBACK_RESTATE_INGRESS_URL": results.settings.restate.ingress_url,
        "KALLBACK_RESTATE_ADMIN_URL": results.settings.restate.admin_url,
        "KALLBACK_TOPICS_PREFIX": results.settings.topics.prefix,
    }


@pytest.fixture
async def daemon(results: ResultsTopic) -> AsyncGenerator[BridgeProcess]:
    """A bridge process that reads the test's topic."""
    command = (sys.executable, "-c", DAEMON, results.client.value)
    process = await asyncio.create_subprocess_exec(*command, env=environment(results))
    yield BridgeProcess(process)
    if process.returncode is None:
        process.kill()
        await process.wait()


async def outcomes_of(results: ResultsTopic) -> dict[tuple[int, int], list[str]]:
    """Outcomes on record, by position of the result record."""
    found: dict[tuple[int, int], list[str]] = {}
    for record in await results.read(results.settings.topics.outcomes):
        line = json.loads(record.value or b"")
        found.setdefault((line["source"]["partition"], line["source"]["offset"]), []).append(line["outcome"])
    return found


@both_clients
async def test_a_successor_completes_what_a_killed_bridge_left(results: ResultsTopic, daemon: BridgeProcess) -> None:
    """After kill -9 in the middle, every record has its outcome, and every position is committed."""
    positions = await results.fill(5000)

    async def some() -> bool:
        return len(await outcomes_of(results)) > 200

    await eventually("the first outcomes", some)
    await daemon.kill()
    first = await outcomes_of(results)
    options = BridgeOptions(outcomes=True, consumer=ConsumerOptions(group_instance_id="one"))
    async with results.bridge(options):
        await eventually("no lag", lambda: no_lag(results))

    assert len(first) < 5000
    found = await outcomes_of(results)
    assert set(found) == positions
    assert {outcome for each in found.values() for outcome in each} == {"delivered"}


@both_clients
async def test_sigterm_drains_and_commits(results: ResultsTopic, daemon: BridgeProcess) -> None:
    """The daemon ends with code 0, in the middle of the work, and a successor sends nothing again."""
    await results.fill(5000)

    async def some() -> bool:
        return len(await outcomes_of(results)) > 200

    await eventually("the first outcomes", some)
    daemon.process.terminate()
    assert await asyncio.wait_for(daemon.process.wait(), 60) == 0

    done = len(await outcomes_of(results))
    assert await results.lag() == 5000 - done


async def test_stop_commits_everything(results: ResultsTopic) -> None:
    """What is settled is committed, without waiting for the timer."""
    await results.fill(300)
    async with results.bridge():
        await results.settle(300)
    assert await results.lag() == 0


@both_clients
async def test_two_bridges_share_the_load(results: ResultsTopic) -> None:
    """Each owns a partition; together they settle each record."""
    first, second = results.bridge(), results.bridge()
    async with first, second:
        await eventually("a partition each", lambda: one_each(first, second))
        await results.fill(500)
        await results.settle(500)
    assert first.stats.settled + second.stats.settled == 500
    assert min(first.stats.settled, second.stats.settled) > 0


async def test_an_address_that_is_not_restates_ingress(results: ResultsTopic) -> None:
    """The admin port answers 404: after 30 s of nothing else the bridge is not ready and says so."""
    await refused(with_restate(results, ingress_url=results.settings.restate.admin_url))


async def test_an_address_with_a_path_too_much(results: ResultsTopic) -> None:
    """Restate's own 400 "bad path" dead-letters nothing."""
    await refused(with_restate(results, ingress_url=results.settings.restate.ingress_url + "/api"))


async def refused(results: ResultsTopic) -> None:
    """A bridge that gets nothing but refusals names the setting in its probe, tries on, and its record stays."""
    await results.complete()
    now = 0.0
    async with results.bridge(replace(QUICK, drain_timeout=0.0), clocks=Clocks(monotonic=lambda: now)) as bridge:
        await eventually("refusals", lambda: bridge.stats.retries > 3)
        now = 30.0
        await eventually("the reason", lambda: bridge.stats.undelivered is not None)
        assert "KALLBACK_RESTATE_INGRESS_URL" in "".join(readiness(bridge).reasons)
        assert bridge.failure is None

    assert (results.outcomes(), await results.dead_letters(), await results.lag()) == ({}, {}, 1)


async def test_a_restate_that_is_not_there_yet(results: ResultsTopic) -> None:
    """The bridge starts, waits, and loses nothing."""
    absent = with_restate(results, ingress_url="http://127.0.0.1:9", admin_url="http://127.0.0.1:9")
    await results.complete()
    async with absent.bridge(replace(QUICK, drain_timeout=0.0)) as bridge:
        await eventually("attempts", lambda: bridge.stats.replies["unreachable"] > 3)
    assert (absent.outcomes(), await results.dead_letters(), await results.lag()) == ({}, {}, 1)
    async with results.bridge():
        await results.settle(1)
    assert results.outcomes() == {"delivered": 1}


@both_clients
async def test_topics_that_do_not_exist(results: ResultsTopic) -> None:
    """The sentence names the command that makes them."""
    results.settings = replace(results.settings, topics=Topics(prefix="nowhere."))
    with pytest.raises(MissingTopicError, match="kallback topics create"):
        await results.bridge().start()


@both_clients
async def test_a_wrong_kafka_address(results: ResultsTopic) -> None:
    """The sentence names the address."""
    results.settings = replace(results.settings, kafka=KafkaSettings("127.0.0.1:9", connect_timeout=1.0))
    with pytest.raises(KafkaUnavailableError, match=r"127\.0\.0\.1:9"):
        await results.bridge().start()
