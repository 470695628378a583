"""Two teams on one Kafka and one Restate, each with its own keys and prefix: neither touches the other's tasks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from tests.integration.end_to_end.environment import TaskPath, open_task_path
from tests.integration.end_to_end.killed_work import render
from tests.integration.end_to_end.worker_processes import WorkerProcesses, worker_processes

from kallback.bridge import Bridge, BridgeOptions, CompleterName
from kallback.bridge.stats import ProgressOutcome
from kallback.protocol import PLAIN_NAMES, ConfigurationError, Keyring
from kallback.sdk import Callbacks
from kallback.settings import KeySettings, RestateSettings, Settings, Topics
from kallback.testing import Stack, TopicFactory, eventually, serve_endpoint, start_restate

pytestmark = pytest.mark.integration


@pytest.fixture
async def teams(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> AsyncGenerator[tuple[TaskPath, TaskPath]]:
    """Two environments on the same servers; no bridge and no worker yet."""
    async with AsyncExitStack() as until:
        yield (
            await team(kallback_stack, f"{topic_names.prefix}a.", topics_factory, until),
            await team(kallback_stack, f"{topic_names.prefix}b.", topics_factory, until),
        )


async def team(stack: Stack, prefix: str, make: TopicFactory, until: AsyncExitStack) -> TaskPath:
    """Topics and keys of one team, and its handler with kallback's services."""
    topics = Topics(prefix=prefix)
    make.make([*topics.all(), name := f"{prefix}render"], partitions=2)
    return await open_task_path(stack, topics, make, until, replace(render, name=name, topic=name))


def with_keys(settings: Settings) -> Settings:
    """The same environment with keys of another team."""
    return replace(settings, keys=KeySettings(Keyring({"k9": os.urandom(32)}), settings.keys.audience))


@asynccontextmanager
async def serving(settings: Settings, stack: Stack) -> AsyncGenerator[None]:
    """Register kallback's services with these settings, over those of the same names."""
    async with Callbacks(settings) as callbacks, serve_endpoint(callbacks.app([]), stack.restate):
        yield


async def test_each_of_two_teams_notices_that_its_worker_was_lost(teams: tuple[TaskPath, TaskPath]) -> None:
    """The team that came second does not take over the first one's heartbeats."""
    async with AsyncExitStack() as until:
        workers = [await until.enter_async_context(at_work(path)) for path in teams]
        calls = [asyncio.create_task(path.call("a film")) for path in teams]
        for each in workers:
            await lose_the_busy_one(each)
        assert [int(await call) for call in calls] > [0, 0]


@asynccontextmanager
async def at_work(path: TaskPath) -> AsyncGenerator[WorkerProcesses]:
    """A bridge and two workers of one team."""
    async with Bridge(path.settings), worker_processes(path, "killed_work") as workers:
        await workers.start()
        await workers.start()
        await workers.shared_out(2)
        yield workers


async def lose_the_busy_one(workers: WorkerProcesses) -> None:
    """Kill the worker of the first attempt; the second one begins elsewhere."""
    busy, _, (attempt, _) = await workers.next_begun({})
    assert attempt == 1
    await asyncio.sleep(2)  # heartbeats reach the monitor
    seen = workers.seen()
    busy.process.kill()
    _, _, (attempt, _) = await workers.next_begun(seen)
    assert attempt == 2


@pytest.mark.parametrize("completer", list(CompleterName))
async def test_a_bridge_refuses_to_start_with_the_services_of_another_team(
    teams: tuple[TaskPath, TaskPath], completer: CompleterName
) -> None:
    """Its audience is the other team's, its keys are its own."""
    mistaken = with_keys(teams[0].settings)
    options = BridgeOptions(completer=completer, progress=completer is CompleterName.INGRESS)
    with pytest.raises(ConfigurationError, match=r"does not verify this bridge's tokens .*KALLBACK_TOPICS_PREFIX"):
        await Bridge(mistaken, options).start()


async def test_a_bridge_that_knows_a_newer_key_starts(teams: tuple[TaskPath, TaskPath]) -> None:
    """Bridges get a new key before the services, in any place of the list."""
    settings = teams[0].settings
    own = settings.keys.require()
    newer = Keyring({"k2": os.urandom(32), **{key_id: own_key(own, key_id) for key_id in own.key_ids}})
    async with Bridge(replace(settings, keys=KeySettings(newer)), BridgeOptions(completer=CompleterName.NOTIFIER)):
        pass


def own_key(keyring: Keyring, key_id: str) -> bytes:
    """The bytes of a key, which a keyring shows to no one else."""
    keys: dict[str, bytes] = keyring._keys  # pyright: ignore[reportPrivateUsage] - only this test needs them
    return keys[key_id]


async def test_a_bridge_starts_before_its_services(
    topic_names: Topics, topics_factory: TopicFactory, teams: tuple[TaskPath, TaskPath]
) -> None:
    """What is absent is waited for."""
    topics = Topics(prefix=f"{topic_names.prefix}c.")
    topics_factory.make(topics.all())
    settings = replace(teams[0].settings, topics=topics, keys=KeySettings(Keyring({"k1": os.urandom(32)})))
    async with Bridge(settings, BridgeOptions(completer=CompleterName.NOTIFIER)) as bridge:
        assert bridge.failure is None


async def test_progress_is_counted_as_refused_when_services_are_taken_over(
    teams: tuple[TaskPath, TaskPath], kallback_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another deployment with the same names and other keys is registered while the bridge runs."""
    monkeypatch.setattr("kallback.bridge.service_watch._INTERVAL_S", 0.2)
    path = teams[0]
    async with AsyncExitStack() as until:
        bridge = await until.enter_async_context(Bridge(path.settings))
        await until.enter_async_context(serving(with_keys(path.settings), kallback_stack))
        await eventually("the sentence", lambda: bridge.stats.services_taken_over)
        workers = await until.enter_async_context(worker_processes(path, "killed_work"))
        await workers.start()
        call = asyncio.create_task(path.call("a film"))
        await eventually("refused progress", lambda: bridge.stats.progress[ProgressOutcome.REFUSED] > 0)
        assert bridge.failure is None
        call.cancel()


async def test_the_old_names_work_while_an_environment_is_upgraded(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bridges come first: they call the services of before by their plain names, and find a lost worker there."""
    async with AsyncExitStack() as until:
        stack = replace(kallback_stack, restate=until.enter_context(start_restate()))
        with monkeypatch.context() as before:
            before.setattr("kallback.settings.settings.service_names", lambda _audience: PLAIN_NAMES)
            path = await team(stack, f"{topic_names.prefix}old.", topics_factory, until)
        addresses = RestateSettings(stack.ingress_url, stack.admin_url, old_service_names=True)
        workers = await until.enter_async_context(
            at_work(replace(path, settings=replace(path.settings, restate=addresses)))
        )
        call = asyncio.create_task(path.call("a film"))
        await lose_the_busy_one(workers)
        assert int(await call) > 0
