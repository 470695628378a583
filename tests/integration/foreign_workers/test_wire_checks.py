"""The programs that authors of workers in other languages begin with keep the rules of the wire."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from tests.integration.foreign_workers.conftest import TOOLCHAINS, build

from kallback.testing import KafkaServer, TopicFactory
from kallback.wire_check import NAMES

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]  # the first build of a language takes minutes

OPTIONAL: Final = {"past-start-by", "long-task", "stop", "hand-back", "cancelled", "cancelled-while-running"}
"""What most programs do not do: heartbeats, hand-back, cancels."""
FOR_LONG_TASKS: Final = {"python-cancels", "java-cancels", "node-cancels"}
"""The programs for long tasks, which do all of it."""
DEPENDS: Final = {"restart"}
"""Not covered if a worker has answered everything before it is killed."""
SIDE_BY_SIDE: Final = 3
"""Most of a check is waiting: for a session timeout, for what must not come."""

Report = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Checking:
    """Checks workers on topics of their own."""

    kafka: KafkaServer
    topics: TopicFactory

    async def check(self, language: str, slots: asyncio.Semaphore) -> Report:
        """What `kallback wire check` says of each rule."""
        async with slots:
            worker = await asyncio.to_thread(build, language)
            tasks, results = self.topics("prepare", partitions=2), self.topics("results")
            prefix = f"{tasks}."
            self.topics.make([f"{prefix}control", f"{prefix}progress"])
            long = ("--long-request", '{"id": "long", "seconds": 4}') if language in FOR_LONG_TASKS else ()
            own = {"KALLBACK_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers, "KALLBACK_TOPICS_PREFIX": prefix}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kallback.cli", "wire", "check", tasks, "--json"),
                *("--results", results, "--progress", f"{prefix}progress", *long),
                *(
                    "--request",
                    '{"id": "Größe 漢字"}',
                    "--failing-request",
                    "{}",
                    "--timeout",
                    "120",
                    "--restart-grace",
                    "120",
                ),
                *("--command", worker.command),
                stdout=asyncio.subprocess.PIPE,
                cwd=worker.folder,
                env={**worker.places(self.kafka, tasks, results), **own},
            )
            try:
                output, _ = await process.communicate()
            finally:
                if process.returncode is None:
                    process.terminate()
        return {each["check"]: each for each in map(json.loads, output.splitlines())}


@pytest.fixture(scope="session")
async def reports(
    request: pytest.FixtureRequest,
    kafka_server: KafkaServer,
    topics_factory: TopicFactory,
) -> AsyncGenerator[Mapping[str, asyncio.Task[Report]]]:
    """The checks of all workers that are tested in this run, begun side by side."""
    checking = Checking(kafka_server, topics_factory)
    slots = asyncio.Semaphore(SIDE_BY_SIDE)
    name = test_a_foreign_worker_keeps_the_rules_of_the_wire.__name__
    chosen = [
        language for language in TOOLCHAINS if any(each.name == f"{name}[{language}]" for each in request.session.items)
    ]
    tasks = {language: asyncio.create_task(checking.check(language, slots)) for language in chosen}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.wait(tasks.values())


@pytest.mark.parametrize("language", TOOLCHAINS)
async def test_a_foreign_worker_keeps_the_rules_of_the_wire(
    language: str, reports: Mapping[str, asyncio.Task[Report]]
) -> None:
    """`kallback wire check` finds nothing, through a kill and a restart."""
    report = await reports[language]
    assert [each for each in report.values() if each["verdict"] == "fail"] == []
    passed = {name for name, each in report.items() if each["verdict"] == "pass"}
    not_done: set[str] = set() if language in FOR_LONG_TASKS else OPTIONAL | DEPENDS
    assert passed >= set(NAMES) - not_done, report
