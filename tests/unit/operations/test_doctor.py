"""What the doctor says of what it sees: a finding for each thing, a remedy for each problem."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec
import pytest
from tests.unit.operations.journal_rows import INVOCATION, SOUP, command, created, handed_out, sent, value

from kallback.bridge.restate.services import ServiceAnswer, ServiceState
from kallback.cli.tasks.rows import invocation_facts
from kallback.kafka import (
    Headers,
    MemoryBroker,
    MemoryReader,
    OutgoingRecord,
    PartitionTransaction,
    Position,
    Record,
    TopicGroup,
    TopicPartition,
)
from kallback.kafka.errors import missing_topic
from kallback.operations import AttemptProgress, InvocationStatus, PendingTask, PendingTasks, WaitingInvocation
from kallback.operations.deployments import Deployment, ServiceRevision, ServiceRoute, route_of
from kallback.operations.doctor import Examination, Severity, Sources, service_check
from kallback.operations.doctor.findings import (
    Finding,
    clock_finding,
    invocation_finding,
    place_findings,
    reader_findings,
    state_finding,
    topic_findings,
    transaction_findings,
    unread_finding,
    worker_findings,
)
from kallback.operations.doctor.pending_types import PendingTypes
from kallback.operations.doctor.service_findings import service_findings
from kallback.operations.doctor.stuck import StuckInvocations
from kallback.operations.doctor.unanswered import unanswered_finding, unanswered_findings
from kallback.operations.invocations import MOST_STUCK
from kallback.operations.pending import TaskPage
from kallback.protocol import Attempt, KafkaUnavailableError, RestateUnavailableError, TaskId
from kallback.settings import KeySettings, Settings, Topics

Row = TypeVar("Row")
OK, WARNING, PROBLEM = Severity.OK, Severity.WARNING, Severity.PROBLEM
ID = TaskId("AAECAwQFBgcICQoL")
WAITING = WaitingInvocation("inv_1", "Shop/order", "Shop/order", "suspended", 0)
COOK = TopicPartition("cook", 0)
AT = Position("cook", 0, 10)
TASK = PendingTask(ID, "cook", Attempt(1), AT, 0, 60_000, WAITING)
LONG = replace(TASK, deadline_ms=None)
RUNNING = AttemptProgress(0, 1_000)


@pytest.mark.parametrize(("difference_ms", "severity"), [(0, OK), (-5_000, OK), (5_001, WARNING), (-60_000, WARNING)])
def test_clocks(difference_ms: int, severity: Severity) -> None:
    """Some seconds do no harm."""
    assert clock_finding(difference_ms).severity is severity


@pytest.mark.parametrize(("name", "shown"), [("kitchen-7", "producer 4001 (kitchen-7)"), (None, "producer 4001 is")])
def test_an_open_transaction_has_its_producer(name: str | None, shown: str) -> None:
    """Its name, if it may be seen; those that have just been written to are the everyday of others."""
    found = PartitionTransaction(TopicPartition("kallback.results", 3), 17, 4001, name, written_ms=0)
    [finding] = transaction_findings([found], 35_000)
    assert finding.severity is PROBLEM
    assert shown in finding.sentence
    assert "kallback.results[3] from offset 17 on" in finding.sentence
    assert list(transaction_findings([found], 9_000)) == []


def test_an_open_transaction_of_many_partitions_is_one_finding() -> None:
    """With all of them; a transaction of another producer is another finding."""
    found = [
        PartitionTransaction(TopicPartition("kallback.results", number), 17 + number, producer, "kitchen", written_ms=0)
        for number, producer in [(1, 4001), (0, 4001), (2, 4002)]
    ]
    first, second = transaction_findings(found, 35_000)
    assert "kallback.results[0] from offset 17 on, kallback.results[1] from offset 18 on, and" in first.sentence
    assert "producer 4002" in second.sentence


async def test_transactions_that_may_not_be_looked_for_are_a_warning() -> None:
    """The other findings do not need them."""

    async def refuse(_topics: object) -> list[PartitionTransaction]:
        raise KafkaUnavailableError("no")

    findings = await Cluster(transactions=refuse).findings("kallback.results")
    assert [each.severity for each in findings if each.subject == "transactions"] == [WARNING]


def test_a_missing_topic_has_its_command() -> None:
    """It makes all of kallback's own; what exists is not changed."""
    [missing] = topic_findings(["a", "b"], frozenset({"a"}))
    assert (missing.severity, missing.remedy) == (PROBLEM, "create it: kallback topics create")
    [several] = topic_findings(["a", "b"], frozenset())
    assert several.sentence == "topics a, b do not exist"
    [all_there] = topic_findings(["a"], frozenset({"a"}))
    assert all_there.severity is OK


@pytest.mark.parametrize(
    ("state", "severity"),
    [
        (ServiceState.OWN, OK),
        (ServiceState.MISSING, WARNING),
        (ServiceState.UNKNOWN, PROBLEM),
        (ServiceState.UNREADABLE, PROBLEM),
        (ServiceState.UNREACHABLE, PROBLEM),
        (ServiceState.DENIED, PROBLEM),
        (ServiceState.FOREIGN, PROBLEM),
        (ServiceState.INCOMPLETE, PROBLEM),
    ],
)
def test_services(state: ServiceState, severity: Severity) -> None:
    """Other keys are a problem; a service that types without heartbeats do not need is not."""
    [finding] = service_findings([ServiceAnswer("TaskMonitor", state)])
    assert finding.severity is severity
    assert bool(finding.remedy) is (severity is not OK)


def test_a_key_that_services_do_not_know_is_named() -> None:
    """In a rotation it is the next one that signs: going on too early makes dead letters."""
    [finding] = service_findings([ServiceAnswer("TaskMonitor", ServiceState.OWN, unknown_keys=("k2",))])
    assert (finding.severity, "k2" in finding.sentence) == (WARNING, True)


ALBUMS = Deployment(
    "dp_1", "http://albums:9080", services=[ServiceRevision("TaskMonitor", 1), ServiceRevision("Albums", 1)]
)
REPORTS = Deployment(
    "dp_2", "http://reports:9080", services=[ServiceRevision("TaskMonitor", 2), ServiceRevision("Reports", 1)]
)
NEWER = Deployment(
    "dp_3", "http://albums-2:9080", services=[ServiceRevision("TaskMonitor", 3), ServiceRevision("Albums", 2)]
)


@pytest.mark.parametrize(
    ("deployments", "current", "others"),
    [
        ([ALBUMS], ALBUMS, []),
        ([ALBUMS, REPORTS], REPORTS, [(ALBUMS, ["Albums"])]),
        ([ALBUMS, NEWER], NEWER, []),
        ([ALBUMS, REPORTS, NEWER], NEWER, [(REPORTS, ["Reports"])]),
    ],
)
def test_an_application_that_lost_a_name_is_told_from_an_earlier_version(
    deployments: list[Deployment], current: Deployment, others: list[tuple[Deployment, list[str]]]
) -> None:
    """Restate still calls services of the former, and none of the latter."""
    assert route_of("TaskMonitor", deployments) == ServiceRoute(current, others)
    assert route_of("Unknown", deployments) is None


def test_a_service_without_an_answer_names_its_deployment() -> None:
    """Who reads it knows which process to start."""
    [finding] = service_findings([ServiceAnswer("TaskMonitor", ServiceState.UNKNOWN, "no answer within 5 s")], [ALBUMS])
    assert finding.severity is PROBLEM
    assert "Restate calls it at http://albums:9080 (dp_1)" in finding.sentence


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (ServiceState.MISSING, "registered at http://albums:9080"),
        (ServiceState.UNREACHABLE, "gives no answer"),
        (ServiceState.NOT_RESTATES, "is no Restate"),
    ],
)
def test_a_wrong_address_of_the_ingress_is_no_fault_of_the_services(state: ServiceState, said: str) -> None:
    """They are registered, or were not asked: to start or to serve them would not help."""
    answers = [ServiceAnswer(name, state, "cannot be reached") for name in ("TaskMonitor", "TaskMonitor")]
    [found] = service_findings(answers, [ALBUMS])
    assert said in found.sentence
    assert "KALLBACK_RESTATE_INGRESS_URL" in found.remedy
    assert found.severity is PROBLEM


@pytest.mark.parametrize(("state", "severity"), [(ServiceState.UNKNOWN, PROBLEM), (ServiceState.OWN, WARNING)])
def test_two_applications_with_one_name_are_named_with_the_remedy(state: ServiceState, severity: Severity) -> None:
    """The one that answers now will be missed by both when it is stopped."""
    finding = list(service_findings([ServiceAnswer("TaskMonitor", state)], [ALBUMS, REPORTS]))[-1]
    assert finding.severity is severity
    assert "Restate calls it at http://reports:9080 (dp_2)" in finding.sentence
    assert "http://albums:9080 (dp_1), which serves Albums" in finding.sentence
    assert "services_elsewhere=True" in finding.remedy
    assert "KALLBACK_TOPICS_PREFIX" in finding.remedy


def test_handlers_that_fail_again_and_again_are_one_finding_each() -> None:
    """Those that wait for tasks of this environment are a problem; others may belong to another team."""
    stuck = [
        InvocationStatus("inv_1", "Shop/order", "backing-off", 2, "no oven"),
        InvocationStatus("inv_2", "Shop/order", "backing-off", 6, "no attribute"),
        InvocationStatus("inv_3", "Cart/key/pay", "paused", 70),
    ]
    shop, cart = StuckInvocations(stuck).findings({"inv_1"})
    assert (shop.severity, cart.severity) == (PROBLEM, WARNING)
    assert shop.sentence.startswith("2 invocations of Shop/order cannot go on: inv_2 is backing-off, tried 6 times")
    assert "no attribute" in shop.sentence
    assert cart.sentence.startswith("1 invocation of Cart/pay cannot go on")
    assert "restate invocations resume inv_3, or curl -X PATCH " in cart.remedy
    assert cart.remedy.endswith('/invocations/inv_3/resume"')


def test_a_failure_is_shown_without_its_stack_trace() -> None:
    """The first line says what is the matter, and the others would hide the next finding."""
    failure = "[500] no oven\nTraceback (most recent call last):\n  File ..."
    status = InvocationStatus("inv_1", "Shop/order", "backing-off", 2, failure)
    for finding in [*StuckInvocations([status]).findings(), invocation_finding(status, 0)]:
        assert finding.sentence.endswith(": [500] no oven")


def test_a_count_that_was_cut_off_says_so() -> None:
    """More of them may be of the same handler, or of others."""
    [finding] = StuckInvocations([InvocationStatus("inv_1", "Shop/order", "backing-off")] * MOST_STUCK).findings()
    assert finding.sentence.startswith("at least 1,000 invocations of Shop/order")


@pytest.mark.parametrize(("next_ms", "severity", "said"), [(4_000, OK, "attempt 2 in 3 s"), (0, WARNING, "1 s ago")])
def test_a_task_between_attempts_says_what_follows(next_ms: int, severity: Severity, said: str) -> None:
    """An attempt that was due and is not in Kafka may hang."""
    finding = state_finding(replace(TASK, next_attempt_ms=next_ms), 1_000)
    assert finding.severity is severity
    assert said in finding.sentence


@pytest.mark.parametrize(
    ("groups", "severities"),
    [
        ([], [PROBLEM]),
        ([TopicGroup("kitchen", 0, 2, {COOK: 1}, 5)], [PROBLEM]),
        ([TopicGroup("kitchen", 2, 0, {}, 5)], [OK]),
        ([TopicGroup("kitchen", 2, 1, {}, 5)], [WARNING]),
        ([TopicGroup("kitchen", 2, 0, {}, 1000)], [WARNING]),
        ([TopicGroup("old", 0, 2, {COOK: 1}, 5), TopicGroup("kitchen", 1, 0, {}, 0)], [OK]),
    ],
)
def test_readers(groups: list[TopicGroup], severities: list[Severity]) -> None:
    """A group that nobody is in any more does not matter beside one that reads."""
    findings = list(worker_findings("cook", groups))
    assert [finding.severity for finding in findings] == severities
    if severities == [PROBLEM]:
        assert findings[0].remedy == "start a worker that reads cook"


@pytest.mark.parametrize(("topics", "which"), [(("cook",), "it"), (("cook", "bake"), "them")])
def test_a_group_that_does_not_read_a_topic_is_not_said_to_be_empty(topics: tuple[str, ...], which: str) -> None:
    """Its members may read another topic."""
    groups = [TopicGroup("kitchen", 0, 2, {COOK: 1}, 5)]
    finding = unread_finding("workers", dict.fromkeys(topics, groups), "start a worker")
    assert finding.sentence == f"nothing reads {', '.join(topics)} (no member of kitchen reads {which})"


@pytest.mark.parametrize(
    ("status", "retries", "severity"),
    [
        ("suspended", None, OK),
        ("suspended", 3, OK),
        ("running", None, OK),
        ("paused", 70, PROBLEM),
        ("backing-off", 3, PROBLEM),
        ("running", 3, WARNING),
    ],
)
def test_invocations(status: str, retries: int | None, severity: Severity) -> None:
    """One that fails again and again cannot take a result."""
    failure, began = None if retries is None else "no oven", "1970-01-01T00:00:00.500Z"
    row = InvocationStatus("inv_1", "Shop/order", status, retries, failure, last_start_at=began)
    finding = invocation_finding(row, 5_500)
    assert finding.severity is severity
    assert ("no oven" in finding.sentence) is (severity is not OK)


def test_a_handler_that_failed_before_and_waits_since_is_no_problem() -> None:
    """Its process was killed; Restate counts that until the handler gets on, and a handler that waits does not."""
    began = "1970-01-01T00:00:00.500Z"
    row = InvocationStatus("inv_1", "Shop/order", "running", 5, "broken pipe", last_start_at=began)
    finding = invocation_finding(row, 40_500)
    assert (finding.severity, finding.sentence) == (OK, "Shop/order is running for 40 s; before, it failed 4 times")


def test_an_invocation_that_has_just_ended() -> None:
    """It is no problem."""
    assert invocation_finding(None, 0).severity is WARNING


@pytest.mark.parametrize(
    ("committed", "severity"), [({}, WARNING), ({COOK: 11}, WARNING), ({COOK: 10}, OK), ({COOK: 3}, OK)]
)
def test_how_far_a_group_is_from_the_task(committed: dict[TopicPartition, int], severity: Severity) -> None:
    """Behind it, done without a result: the remedy says where to look."""
    [finding] = place_findings(AT, [TopicGroup("kitchen", 1, 0, committed)])
    assert finding.severity is severity


def test_without_a_bridge_a_worker_that_is_done_is_not_blamed() -> None:
    """Its result waits in Kafka, and nothing has read what it reports."""
    [finding] = place_findings(AT, [TopicGroup("kitchen", 1, 0, {COOK: 11})], is_without_bridge=True)
    assert (finding.severity, "a result waits to be read" in finding.sentence) == (Severity.FOLLOWS, True)


@pytest.mark.parametrize(
    ("progress", "now_ms", "severity"),
    [
        (None, 1, OK),
        (AttemptProgress(0), 1, WARNING),
        (AttemptProgress(0, 1), 1, OK),
        (None, 60_001, PROBLEM),
    ],
)
def test_what_the_task_tells(progress: AttemptProgress | None, now_ms: int, severity: Severity) -> None:
    """A passed deadline is the handler's problem."""
    assert state_finding(replace(TASK, progress=progress), now_ms).severity is severity


@pytest.mark.parametrize(
    ("changes", "now_ms", "command"),
    [
        ({"progress": AttemptProgress(0)}, 1, "kallback workers list kitchen"),
        ({}, 60_001, f"kallback tasks show {ID}"),
        ({"next_attempt_ms": 0}, 1_000, "kallback doctor cook"),
    ],
)
def test_a_remedy_names_the_command_to_type(changes: dict[str, Any], now_ms: int, command: str) -> None:
    """`see the readers of its topic` leaves a newcomer to search for what shows them."""
    task = replace(TASK, position=Position("kitchen", 0, 1), **changes)
    assert state_finding(task, now_ms).remedy.endswith(command)


def test_no_time_is_zero_seconds() -> None:
    """A moment ago is less than a second, and hours are hours."""
    assert "sign of life is less than 1 s old" in state_finding(replace(TASK, progress=RUNNING), 1_400).sentence
    assert "sign of life is 1 h 30 min old" in state_finding(replace(LONG, progress=RUNNING), 5_401_000).sentence


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (AttemptProgress(0, 1000, 9000, b"[1]", 4000), "its details are the same for 6 s"),
        (AttemptProgress(0, 1000, 9000, b"[1]"), "its details are the same for 9 s"),
        (AttemptProgress(0, 1000, 9000), "its heartbeats have no details"),
    ],
)
def test_a_heartbeat_alone_does_not_tell_that_a_task_gets_on(progress: AttemptProgress, said: str) -> None:
    """Some workers send it by themselves, while the function hangs."""
    assert said in state_finding(replace(TASK, progress=progress), 10_000).sentence


@dataclass
class Cluster:
    """Servers in which nothing waits."""

    topics: frozenset[str] = frozenset(Settings().topics.all())
    groups: list[TopicGroup] = field(default_factory=lambda: [TopicGroup("readers", 1, 0)])
    unread: frozenset[str] = frozenset()
    settings: Settings = field(default_factory=Settings)
    available: bool = True
    restate_available: bool = True
    services: Sequence[ServiceAnswer] | None = None
    deployments: Sequence[Deployment] = ()
    asked: list[str] = field(default_factory=list[str])
    transactions: Callable[[Sequence[str]], Awaitable[list[PartitionTransaction]]] | None = None
    journals: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    letters: Sequence[Headers] = ()
    now: float = 1.0
    withdrawn: list[str] = field(default_factory=list[str])
    missing: frozenset[str] = frozenset()

    async def rows(self, sql: str, kind: type[Row]) -> list[Row]:
        """Answer as Restate does."""
        if not self.restate_available:
            raise RestateUnavailableError("no answer: check that Restate runs")
        found: list[dict[str, Any]] = [{"now": "1970-01-01T00:00:01Z"}] if "now()" in sql else []
        found = next((rows for table, rows in self.journals.items() if f"FROM {table} " in sql), found)
        found = [{"kept": len(found)}] if "count(*)" in sql else found
        return msgspec.convert(found, list[kind])  # type: ignore[valid-type]

    async def findings(self, target: str = "") -> list[Finding]:
        """Examine it."""
        broker = MemoryBroker()
        broker.create_topic("kallback.dead-letters")
        broker.append(OutgoingRecord("kallback.dead-letters", b""))
        for headers in self.letters:
            broker.append(OutgoingRecord("kallback.dead-letters", b"{}", None, headers))

        async def topics() -> frozenset[str]:
            if not self.available:
                raise KafkaUnavailableError("no broker answers: start Kafka")
            return self.topics

        async def groups(topic: str) -> list[TopicGroup]:
            self.asked.append(topic)
            if topic in self.missing:
                raise missing_topic(topic)
            return [] if topic in self.unread else self.groups

        async def find(_at: Position) -> Record | None:
            return None

        async def services() -> list[ServiceAnswer]:
            return list(self.services or ())

        async def withdraw(keys: Sequence[str]) -> None:
            self.withdrawn += keys

        async def deployments() -> list[Deployment]:
            return list(self.deployments)

        sources = Sources(
            self,
            topics,
            groups,
            find,
            lambda topic, _: MemoryReader(broker, topic),
            services=None if self.services is None else services,
            withdraw=withdraw,
            deployments=deployments,
            transactions=self.transactions,
        )
        return [each async for each in Examination(sources, self.settings, clock=lambda: self.now).run(target)]


async def test_a_healthy_environment_has_no_problem() -> None:
    """Without keys, the services are not asked; that is said."""
    findings = await Cluster().findings()
    assert {finding.severity for finding in findings} == {OK, WARNING}
    assert [finding.remedy for finding in findings if finding.severity is WARNING] == [
        "set KALLBACK_KEYS as bridges have it"
    ]


def test_services_are_asked_with_the_keys_that_there_are() -> None:
    """The published key of insecure mode is one; without any, they are not asked."""
    assert service_check(Settings()) is None
    assert service_check(Settings(keys=KeySettings(insecure=True))) is not None


def pending(topic: str = "cook", attempt: int = 1, task_type: str = "cook") -> dict[str, list[dict[str, Any]]]:
    """Rows of one handler that waits for one task."""
    invocation = {
        "id": INVOCATION,
        "target": "Shop/order",
        "target_service_name": "Shop",
        "target_handler_name": "order",
        "status": "suspended",
        "created_at": "1970-01-01T00:00:01Z",
        "journal_size": 3,
    }
    published = value(3, sent([SOUP, attempt, 17, 0, 0], audience="kallback.results", topic=topic, task_type=task_type))
    steps = [
        msgspec.to_builtins(command(f"publish cook {SOUP}", 3)),
        msgspec.to_builtins(published) | {"index": 4, "entry_lite_json": "{}"},
    ]
    return {"sys_invocation_status": [invocation], "sys_journal": steps}


async def test_without_a_type_those_of_pending_tasks_are_looked_at() -> None:
    """Two tasks may wait for a worker that was never started."""
    cluster = Cluster(unread=frozenset({"cook"}), journals=pending())
    assert (await cluster.findings())[-1].remedy == "start a worker that reads cook"


class Pages(PendingTasks):
    """A thousand tasks of one type, then one of another."""

    async def each(self, _wanted: object = None) -> AsyncGenerator[TaskPage]:
        """Return them."""
        yield TaskPage([TASK] * 1_000, "behind them")
        yield TaskPage([replace(TASK, position=Position("bake", 0, 1))], None)


async def test_a_type_behind_a_thousand_tasks_of_another_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a bound, beyond which the doctor says so."""
    pages, all_of_them, first = Pages(Cluster(), Settings()), PendingTypes(""), PendingTypes("")
    await all_of_them.read(pages)
    assert (all_of_them.topics, all_of_them.is_cut_off) == ({"cook", "bake"}, False)
    monkeypatch.setattr("kallback.operations.doctor.pending_types._MOST", 1_000)
    await first.read(pages)
    assert (first.topics, first.is_cut_off, first.count) == ({"cook"}, True, 1_000)


async def test_tasks_in_encoded_journals_are_said_not_to_be_looked_at() -> None:
    """Nothing may read their topics: without a word, the doctor would say that all is well."""
    journals = pending()
    encoded = msgspec.to_builtins(value(3, b"\x00encoded")) | {"index": 4, "entry_lite_json": "{}"}
    journals["sys_journal"][1] = encoded
    found = (await Cluster(unread=frozenset({"cook"}), journals=journals).findings())[-1]
    assert found.severity is WARNING
    assert "the tasks of 1 invocation were not looked at: their journals are encoded" in found.sentence
    assert found.remedy == "name each of their types: kallback doctor TYPE"


async def test_a_task_that_may_be_in_an_encoded_journal_is_no_problem() -> None:
    """It may as well have ended, which the outcomes tell."""
    journals = pending()
    journals["sys_journal"][1] = msgspec.to_builtins(value(3, b"\x00encoded")) | {"index": 4, "entry_lite_json": "{}"}
    found = (await Cluster(journals=journals).findings("AAECAwQFBgcICQoZ"))[-1]
    assert found.severity is WARNING
    assert "kallback outcomes list --task AAECAwQFBgcICQoZ" in found.sentence


async def test_an_encoded_journal_of_another_hides_no_end_of_a_task() -> None:
    """The task's own journal is kept, and its handler has ended: it is in no other one."""
    journals = pending()
    journals["sys_journal"][1] = msgspec.to_builtins(value(3, b"\x00encoded")) | {"index": 4, "entry_lite_json": "{}"}
    end = {"completion_result": "success", "completed_at": "2026-01-01T00:00:02Z"}
    holder = {"id": journals["sys_journal"][0]["id"], "target": "Shop/order", "status": "completed", **end}
    found = await Cluster(journals={"sys_invocation": [holder], **journals}).findings("AAECAwQFBgcICQoZ")
    assert any("has ended, and so has its handler Shop/order" in each.sentence for each in found)


async def test_what_cannot_be_looked_at_is_a_finding() -> None:
    """The other checks follow nevertheless; a Kafka that does not answer is not asked again, and is named once."""
    asked = list[str]()
    findings = await Cluster(available=False, asked=asked).findings("cook")
    assert [finding.sentence for finding in findings if finding.severity is PROBLEM] == [
        "no broker answers: start Kafka"
    ]
    assert (findings[0].subject, asked) == ("restate", [])


@pytest.mark.parametrize(
    ("unread", "remedies"),
    [
        (["kallback.results-bank"], ["set KALLBACK_TOPICS_MORE_RESULTS for the bridges, too, and restart them"]),
        (["kallback.results", "kallback.results-bank"], ["start a bridge: kallback bridge"]),
    ],
)
async def test_bridges_that_do_not_know_a_results_topic_are_told_from_missing_ones(
    unread: list[str], remedies: list[str]
) -> None:
    """They read the other topic, so starting one more as they are would not help."""
    topics = Topics(more_results=frozenset({"kallback.results-bank"}))
    cluster = Cluster(frozenset(topics.all()), unread=frozenset(unread), settings=Settings(topics=topics))
    assert [each.remedy for each in await cluster.findings() if each.severity is PROBLEM] == remedies


async def test_a_type_is_asked_for_its_workers() -> None:
    """By the name of its topic."""
    findings = await Cluster(frozenset({"cook"}), groups=[]).findings("cook")
    assert findings[-1].remedy == "start a worker that reads cook"


async def test_a_missing_results_topic_is_said_once() -> None:
    """Nothing can read it."""
    findings = await Cluster(frozenset(Settings().topics.all()) - {"kallback.results"}).findings()
    assert [each.subject for each in findings if each.severity is PROBLEM] == ["topics"]


async def test_a_task_that_is_not_pending() -> None:
    """Its journal is not kept any more, or the id is wrong."""
    assert "Restate has no journal with task" in (await Cluster().findings(ID))[-1].sentence


@pytest.mark.parametrize(
    ("committed", "lag", "place", "behind"),
    [
        (10, 1, "it runs or is next (not while its worker drains: --process tells)", "1 record behind"),
        (7, 2, "it runs, or waits behind 3 others", "2 records behind"),
    ],
)
def test_a_sentence_counts_what_there_is(committed: int, lag: int, place: str, behind: str) -> None:
    """Not "0 records are before it", nor "1 records"."""
    groups = [TopicGroup("kitchen", 1, 0, {COOK: committed}, lag)]
    [found] = place_findings(AT, groups)
    [reader] = reader_findings("workers", "cook", groups)
    assert found.sentence.endswith(place)
    remark = "a member that was killed is counted until its session timeout ends, 10 to 45 s"
    assert f"{behind}, under way or waiting; {remark}" in reader.sentence


def test_a_reader_that_is_not_behind_needs_no_remark() -> None:
    """Nothing waits for it, even if it was killed a moment ago."""
    [reader] = reader_findings("bridges", "results", [TopicGroup("bridge", 1, 0)])
    assert reader.sentence.endswith("0 records behind")


def test_the_topic_of_outcomes_is_named_whether_it_is_there_or_not() -> None:
    """It is optional; whoever misses outcomes looks for it."""
    [there] = topic_findings(["results"], frozenset({"results", "outcomes"}), "outcomes")
    [absent] = topic_findings(["results"], frozenset({"results"}), "outcomes")
    assert (there.severity, there.sentence) == (OK, "kallback's own topics exist: results, outcomes")
    assert (absent.severity, absent.sentence) == (
        OK,
        "kallback's own topics exist: results; outcomes, for bridges with --outcomes, does not",
    )


@pytest.mark.parametrize(
    ("now_ms", "deadline_ms", "said"),
    [
        (200_000, 86_600_000, "without an answer for 3 min 20 s, and its handler waits 1 d more"),
        (4_000, None, "without an answer for 4 s, and its handler has no deadline"),
    ],
)
def test_an_awakeable_waits_for_somebody(now_ms: int, deadline_ms: int | None, said: str) -> None:
    """That is no problem; the remedy says who can answer."""
    finding = unanswered_finding(replace(TASK, position=None, signal=17, deadline_ms=deadline_ms), now_ms)
    assert finding.severity is OK
    assert said in finding.sentence
    assert f"kallback tasks complete {ID}" in finding.remedy


@pytest.mark.parametrize(("signals", "is_said"), [([1], True), ([1, 17], False), (None, False)])
def test_a_handler_that_waits_for_something_else_is_told(signals: list[int] | None, *, is_said: bool) -> None:
    """It may have gone on without the answer; of one that runs nothing is known."""
    invocation = InvocationStatus("inv_1", "Shop/order", "suspended", waits_for_signals=signals)
    task = replace(TASK, position=None, signal=17)
    finding = unanswered_finding(task, 4_000, is_next=invocation.waits_for(17))
    assert ("now the handler waits for something else" in finding.sentence) is is_said
    assert ("waits for something else" in str([*invocation_facts(invocation, 17)])) is is_said


def test_a_long_key_of_a_virtual_object_is_cut_short() -> None:
    """Restate has no limit for them but that of a request."""
    invocation = InvocationStatus("inv_1", f"Shop/{'k' * 10_000}/order", "suspended")
    assert len(invocation_finding(invocation, 0).sentence) < 400


def test_an_awakeable_whose_deadline_has_passed_is_a_problem() -> None:
    """Its handler should have gone on."""
    assert unanswered_finding(replace(TASK, position=None, signal=17), 60_001).severity is PROBLEM


def test_awakeables_are_counted_by_type() -> None:
    """With the oldest of each."""
    task = replace(TASK, position=None, signal=17)
    others = [replace(task, task_type="approve", created_ms=each, task_id=TaskId(f"{each:016}")) for each in (9, 7)]
    assert [each.sentence for each in unanswered_findings([*others, task], 5_007)] == [
        "2 awakeables wait for an answer of type approve, the oldest (0000000000000007) for 5 s",
        f"1 awakeable waits for an answer of type cook, the oldest ({ID}) for 5 s",
    ]


async def test_a_type_that_no_worker_does_needs_no_topic() -> None:
    """Its awakeables are counted; no worker is missed."""
    invocation = {
        "id": INVOCATION,
        "target": "Shop/order",
        "target_service_name": "Shop",
        "target_handler_name": "order",
        "status": "suspended",
        "created_at": "1970-01-01T00:00:01Z",
        "journal_size": 3,
    }
    asked = msgspec.to_builtins(handed_out(2, SOUP, 17)) | {"index": 4, "entry_lite_json": "{}"}
    steps = [msgspec.to_builtins(created(2, 2)), asked]
    cluster = Cluster(journals={"sys_invocation_status": [invocation], "sys_journal": steps})
    findings = await cluster.findings("approve")
    assert findings[-1].subject == "awakeables"
    assert {each.severity for each in findings} == {OK, WARNING}
