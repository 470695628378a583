"""The services that a bridge calls are away, and Restate is well: what waits for them in Restate stays small."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from tests.integration.end_to_end.test_long_tasks import BEAT, pipe_on

from kallback.bridge import Bridge
from kallback.bridge.stats import ProgressOutcome
from kallback.protocol import RetryPolicy, ServiceNames
from kallback.settings import Topics
from kallback.testing import Stack, eventually
from kallback.testing.clients.restate import Admin
from kallback.testing.log_capture import capture_logs
from kallback.testing.topics import TopicFactory

pytestmark = pytest.mark.integration

AWAY = "services of kallback do not answer"


async def test_while_services_are_away_one_report_of_a_topic_waits_and_heartbeats_stay_in_kafka(
    kallback_stack: Stack, topic_names: Topics, topics_factory: TopicFactory
) -> None:
    """After twenty heartbeats Restate has two reports, and when the services are back no attempt counts as lost."""
    retry = RetryPolicy(first_delay=BEAT)
    async with AsyncExitStack() as until:
        pipe = await until.enter_async_context(
            pipe_on(kallback_stack, topic_names, topics_factory, heartbeat_every=BEAT, retry=retry)
        )
        admin = await until.enter_async_context(Admin(kallback_stack.admin_url))
        bridge = await until.enter_async_context(Bridge(pipe.settings))
        await until.enter_async_context(pipe.worker())
        answer = pipe.call()
        await eventually("reports", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED] >= 30)
        names = pipe.settings.services
        pipe.gate.is_closed = True
        with capture_logs() as lines:
            await eventually("a report that waits", lambda: any(AWAY in each["event"] for each in lines))
            before = bridge.stats.progress.total()
            await eventually("more heartbeats", lambda: bridge.stats.progress.total() >= before + 20)
        waiting = await waiting_in(admin, names)
        pipe.gate.is_closed = False
        forwarded = bridge.stats.progress[ProgressOutcome.FORWARDED]
        await eventually("heartbeats", lambda: bridge.stats.progress[ProgressOutcome.FORWARDED] >= forwarded + 20)
        pipe.until.set()
        assert await asyncio.wait_for(answer, 60) == "cake by attempt 1"
    assert waiting[names.marks] == dict.fromkeys((pipe.settings.topics.results, pipe.settings.topics.progress), 1)
    assert waiting[names.monitor].total() < 15


async def waiting_in(admin: Admin, names: ServiceNames) -> dict[str, Counter[str]]:
    """How many reports and heartbeats wait, by service and key."""
    found = {names.marks: Counter[str](), names.monitor: Counter[str]()}
    columns, handlers = "target_service_name, target_service_key", "'report', 'progress'"
    sql = f"SELECT {columns} FROM sys_invocation WHERE target_handler_name IN ({handlers})"
    for row in await admin.query(sql):
        if row["target_service_name"] in found:
            found[row["target_service_name"]][row["target_service_key"]] += 1
    return found
