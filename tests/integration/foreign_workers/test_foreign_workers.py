"""The programs that authors of workers in other languages begin with: they do tasks, and no record stops them."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka.admin import AdminClient
from tests.integration.foreign_workers.conftest import Bug, ForeignWorker, build_with
from tests.integration.unreadable_records import send_unreadable

from kallback.kafka import ConfluentProducer, ConfluentReader, Headers, OutgoingRecord, Record
from kallback.protocol import UNEXPECTED_ERROR, Attempt, Completed, Failed, TaskHeaders, TaskId, read_result
from kallback.settings import KafkaSettings
from kallback.testing import KafkaServer, TopicFactory

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]  # the first build of a language takes minutes

_TIMEOUT_S: Final = 60.0
_NO_TOPIC: Final = re.compile("unknown.?topic|does not host this topic", re.IGNORECASE)
"""What clients call a topic that does not exist."""


def token(task_id: str) -> str:
    """What stands for a token: a worker echoes it and never looks into it."""
    return f"kb1:token-of-{task_id}"


def task_headers(task_id: str, reply_to: str, **changed: bytes | None) -> Headers:
    """The headers that an sdk sends; `changed` replaces some (`deadline` for `kallback-deadline`), None removes.

    The token goes with its copy for frameworks.
    """
    headers = TaskHeaders(token(task_id), TaskId(task_id), Attempt(1), "restaurant.prepare", reply_to)
    replaced = {f"kallback-{name.replace('_', '-')}": value for name, value in changed.items()}
    if "token" in changed:
        replaced["kafka_correlationId"] = changed["token"]
    kept = [(name, value) for name, value in headers.encode() if name not in replaced]
    return (*kept, *((name, value) for name, value in replaced.items() if value is not None))


async def results_of(kafka: KafkaServer, topic: str, count: int) -> list[Record]:
    """Wait for so many results."""
    found: list[Record] = []
    deadline = time.monotonic() + _TIMEOUT_S
    async with ConfluentReader(KafkaSettings(kafka.bootstrap_servers), topic) as reader:
        while len(found) < count and time.monotonic() < deadline:
            found += await reader.fetch(1.0)
    return found


async def test_no_record_stops_a_foreign_worker(
    foreign_worker: ForeignWorker, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """Records that are no tasks are skipped, a late task is not done, an empty order fails, good ones are done."""
    tasks, results = topics_factory("prepare"), topics_factory("results")
    topics_factory.make([f"{tasks}.control"])
    odd: list[tuple[bytes | None, Headers]] = [
        (b"no headers at all", ()),
        (None, ()),
        (b"{}", task_headers("t-version", results, version=b"2")),
        (b"{}", task_headers("t-token", results, token=None)),
        (b'{"id": "soon"}', task_headers("t-deadline", results, deadline=b"tomorrow")),
        (b'{"id": "far"}', task_headers("t-digits", results, deadline=b"9" * 5_000)),
        (b'{"id": "never"}', task_headers("t-interval", results, heartbeat_every=b"0")),
        (b"{}", task_headers("t-elsewhere", "a.topic.that.is.not.there")),
        (b"{}", task_headers("t-late", results, deadline=b"1")),
        (None, task_headers("t-empty", results)),
    ]
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        for value, headers in odd:
            await producer.send(OutgoingRecord(tasks, value, b"k", headers))
        await send_unreadable(kafka_server.bootstrap_servers, tasks)
        await producer.send(OutgoingRecord(tasks, b'{"id": "good"}', b"k", task_headers("t-good", results)))
    with foreign_worker.running(kafka_server, tasks, results, tmp_path / "worker.log") as process:
        found = await results_of(kafka_server, results, 5)
        assert process.running, f"exit code {process.exit_code}: {process.log_tail()}"
    results_by_token = {each.token: each for each in (read_result(record.value, record.headers) for record in found)}
    wanted = {token(task_id) for task_id in ("t-deadline", "t-digits", "t-interval", "t-empty", "t-good")}
    assert set(results_by_token) == wanted, process.log_tail()
    assert isinstance(results_by_token[token("t-good")].answer(), Completed)
    assert isinstance(results_by_token[token("t-empty")].answer(), Failed)


def test_a_foreign_worker_says_what_its_client_reports(
    foreign_worker: ForeignWorker, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """A worker whose topic does not exist is not silent."""
    if foreign_worker.language == "go":
        pytest.skip("franz-go waits for a topic, and reports nothing")
    tasks = f"{topics_factory('parent')}.missing"
    topics_factory.make([f"{tasks}.control"])
    log, deadline = tmp_path / "worker.log", time.monotonic() + _TIMEOUT_S
    with foreign_worker.running(kafka_server, tasks, f"{tasks}.results", log) as process:
        while not _NO_TOPIC.search(log.read_text()) and process.running and time.monotonic() < deadline:
            time.sleep(0.1)
        assert _NO_TOPIC.search(log.read_text()), process.log_tail()


_JAVA: Final = ('throw new IllegalArgumentException("an order has an id")', 'throw new IllegalStateException("a bug")')
_PYTHON: Final = ('raise ValueError("an order has an id")', 'raise KeyError("a bug")')
_NODE: Final = ('throw new RangeError("an order has an id")', 'throw new TypeError("a bug")')
BUGS: Final = {
    "python": Bug("worker.py", *_PYTHON),
    "python-cancels": Bug("kitchen.py", *_PYTHON),
    "java": Bug("Kitchen.java", *_JAVA),
    "java-cancels": Bug("KitchenWithCancels.java", *_JAVA),
    "java-transactional": Bug("KitchenInTransactions.java", *_JAVA),
    "spring": Bug(
        "src/main/java/kitchen/Kitchen.java",
        'throw new BadOrder("an order has an id")',
        'throw new IllegalStateException("a bug")',
    ),
    "go": Bug("main.go", 'return nil, badOrder{errors.New("an order has an id")}', 'panic("a bug")'),
    "node": Bug("worker.js", *_NODE),
    "node-cancels": Bug("kitchen.js", *_NODE),
    "nestjs": Bug(
        "src/kitchen.controller.ts",
        'throw new RpcException({ type: "BadOrder", status: 422, detail: "an order has an id" })',
        'throw new TypeError("a bug")',
    ),
    "rust": Bug("src/main.rs", '.ok_or_else(|| BadOrder("an order has an id".to_owned()))?', '.expect("a bug")'),
}
"""What the work of each program raises for an order without an id, in the place of what its caller should know."""


async def test_a_bug_of_the_work_fails_its_task_and_no_other(
    foreign_worker: ForeignWorker, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """What the program does not expect ends neither the process nor the tasks behind: the caller is told."""
    worker = build_with(foreign_worker.language, BUGS[foreign_worker.language])
    tasks, results = topics_factory("prepare"), topics_factory("results")
    topics_factory.make([f"{tasks}.control", f"{tasks}.progress"])
    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        for task_id, value in (("t-bug", b"{}"), ("t-good", b'{"id": "good"}')):
            await producer.send(OutgoingRecord(tasks, value, b"k", task_headers(task_id, results)))
    with worker.running(kafka_server, tasks, results, tmp_path / "worker.log") as process:
        found = await results_of(kafka_server, results, 2)
        assert process.running, f"exit code {process.exit_code}: {process.log_tail()}"
    records = {each.token: each for each in (read_result(record.value, record.headers) for record in found)}
    assert set(records) == {token("t-bug"), token("t-good")}, process.log_tail()
    assert isinstance(records[token("t-good")].answer(), Completed)
    failure = records[token("t-bug")].answer()
    assert isinstance(failure, Failed)
    assert (failure.problem().type, failure.problem().status) == (UNEXPECTED_ERROR, 500)


async def test_a_foreign_worker_that_is_stopped_leaves_its_group(
    foreign_worker: ForeignWorker, kafka_server: KafkaServer, topics_factory: TopicFactory, tmp_path: Path
) -> None:
    """Its partitions go to another process when it ends, and not after a session timeout."""
    if foreign_worker.language == "rust":
        pytest.skip("the one in Rust takes no signals")
    tasks, results = topics_factory("prepare"), topics_factory("results")
    topics_factory.make([f"{tasks}.control", f"{tasks}.progress"])
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap_servers, "log_level": 0})

    def members() -> int:
        return len(admin.describe_consumer_groups([tasks])[tasks].result(10).members)

    async with ConfluentProducer(KafkaSettings(kafka_server.bootstrap_servers)) as producer:
        await producer.send(OutgoingRecord(tasks, b'{"id": "good"}', b"k", task_headers("t-good", results)))
    with foreign_worker.running(kafka_server, tasks, results, tmp_path / "worker.log") as process:
        await results_of(kafka_server, results, 1)  # it has joined: kafkajs leaves no group that it is about to join
        process.stop(grace=_TIMEOUT_S)
    assert members() == 0, process.log_tail()


README: Final = Path(__file__).parents[3] / "protocol" / "README.md"
PROGRAMS: Final = {
    "python/worker.py": "python",
    "python-cancels/kitchen.py": "python",
    "java/Kitchen.java": "java",
    "java-cancels/KitchenWithCancels.java": "java",
    "go/main.go": "go",
    "node/worker.js": "js",
    "node-cancels/kitchen.js": "js",
    "spring/src/main/java/kitchen/Kitchen.java": "java",
    "spring/src/main/java/kitchen/Problems.java": "java",
    "nestjs/src/kitchen.controller.ts": "ts",
    "nestjs/src/task.server.ts": "ts",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_wire_page_prints_the_programs_that_were_run(program: str) -> None:
    """What authors copy from the page is what was tested here."""
    source = (README.parents[1] / "examples" / "workers" / program).read_text()
    assert f"```{PROGRAMS[program]}\n{source}```" in README.read_text()
