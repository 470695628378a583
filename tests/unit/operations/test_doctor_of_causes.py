"""One cause is one problem for the doctor: what follows from it says so, and what it hides is named as not checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.unit.operations.journal_rows import INVOCATION, SOUP, signal
from tests.unit.operations.test_doctor import OK, PROBLEM, TASK, WARNING, Cluster, pending
from tests.unit.operations.test_doctor_of_types import unpublished
from tests.unit.protocol.test_tokens import make_awakeable

from kallback.bridge.restate.services import ServiceAnswer, ServiceState
from kallback.kafka import TopicGroup
from kallback.kafka.errors import missing_topic
from kallback.operations import AttemptProgress, InvocationStatus
from kallback.operations.deployments import Deployment, ServiceRevision
from kallback.operations.doctor import Finding, Severity
from kallback.operations.doctor.access import Access
from kallback.operations.doctor.findings import key_finding, state_finding, unread_workers_findings
from kallback.operations.doctor.stuck import StuckInvocations
from kallback.protocol import AccessDeniedError, Attempt, TaskId, Token
from kallback.protocol.tokens import Keyring

AWAKEABLE = make_awakeable(bytes(24), 17)
FOLLOWS = Severity.FOLLOWS
CODEC = "400: Unable to decode with journal value codec"
NAMES = ("TaskMonitor", "NotifierService")
SHOP = Deployment("dp_1", "http://shop:9080", services=[ServiceRevision(name, 1) for name in (*NAMES, "Shop")])
REFUSED = "[500 Internal] error when calling 'http://shop:9080/': h2 pool connection error: Connection refused"
SILENT = [ServiceAnswer(name, ServiceState.UNKNOWN, "no answer within 5 s") for name in NAMES]
ANSWERING = [ServiceAnswer(name, ServiceState.OWN) for name in NAMES]


def unreached(target: str, invocation: str = "inv_1", status: str = "backing-off") -> InvocationStatus:
    """An invocation whose deployment does not answer."""
    return InvocationStatus(
        invocation,
        target,
        status,
        5,
        REFUSED,
        last_failure_error_code="RT0010",
        last_attempt_deployment_id=SHOP.id,
    )


def rows_of(*stuck: InvocationStatus) -> dict[str, list[dict[str, Any]]]:
    """The table with these invocations."""
    return {"sys_invocation": [msgspec.to_builtins(each) for each in stuck]}


def of(severity: Severity, findings: list[Finding]) -> list[Finding]:
    """Those of one severity."""
    return [each for each in findings if each.severity is severity]


DOWN = rows_of(
    unreached("TaskMonitor/q8/progress", "inv_2"),
    unreached("ConsumedMarks/t/report", "inv_3"),
    unreached("Shop/order", INVOCATION),
    unreached("Cart/ann/pay", "inv_4", "paused"),
)


async def test_a_service_that_is_down_is_one_problem() -> None:
    """It serves kallback's services, and handlers that wait for it: all of that has one remedy."""
    cluster = Cluster(
        services=SILENT, deployments=[SHOP], journals=pending() | DOWN, topics=Cluster().topics | {"cook"}
    )
    [found] = of(PROBLEM, await cluster.findings())
    assert found.sentence == (
        "nothing answers at http://shop:9080 (dp_1): h2 pool connection error: Connection refused; 2 invocations "
        "of Cart/pay, Shop/order wait for it; because of this not checked: TaskMonitor and NotifierService"
    )
    assert found.remedy.startswith("start the service there")
    assert found.remedy.endswith('/invocations/inv_4/resume"')


QUESTIONS = [
    msgspec.structs.replace(unreached(f"{name}/x", f"inv_{name}"), idempotency_key=f"kallback-check-{name}")
    for name in NAMES
]


async def test_the_doctor_removes_the_questions_that_its_services_leave() -> None:
    """They told why there was no answer; each run would leave two more."""
    asked = [each._replace(waiting=f"kallback-check-{each.service}") for each in SILENT]
    cluster = Cluster(services=asked, deployments=[SHOP], journals=rows_of(*QUESTIONS))
    [found] = of(PROBLEM, await cluster.findings())
    assert found.sentence == (
        "nothing answers at http://shop:9080 (dp_1): h2 pool connection error: Connection refused; because of this not "
        "checked: TaskMonitor and NotifierService"
    )
    assert cluster.withdrawn == ["kallback-check-TaskMonitor", "kallback-check-NotifierService"]


async def test_questions_of_bridges_are_no_handlers_that_cannot_go_on() -> None:
    """A bridge asks as the doctor does, and has no access to the admin API."""
    findings = await Cluster(services=ANSWERING, deployments=[SHOP], journals=rows_of(*QUESTIONS)).findings()
    assert [each for each in findings if each.subject == "invocations"] == []


@pytest.mark.parametrize(
    ("state", "detail", "said"),
    [
        (ServiceState.FOREIGN, "", "TaskMonitor and NotifierService do not verify the tokens of these keys"),
        (ServiceState.FOREIGN, CODEC, "another journal value codec"),
        (ServiceState.DENIED, "401: ", "TaskMonitor and NotifierService were not asked"),
        (ServiceState.MISSING, "", "Restate does not know TaskMonitor and NotifierService"),
    ],
)
async def test_what_two_services_have_in_common_is_one_finding(state: ServiceState, detail: str, said: str) -> None:
    """Wrong keys, another codec, a login, a registration that is missing: each has one remedy."""
    findings = await Cluster(services=[ServiceAnswer(name, state, detail) for name in NAMES]).findings()
    [found] = [each for each in findings if each.subject == "services"]
    assert said in found.sentence


async def test_a_codec_that_is_missing_is_one_problem() -> None:
    """One service refuses what it is sent, the other one's answer cannot be read: there is nothing to start."""
    answers = [
        ServiceAnswer("TaskMonitor", ServiceState.FOREIGN, CODEC),
        ServiceAnswer("NotifierService", ServiceState.UNREADABLE, "JSON is malformed"),
    ]
    findings = await Cluster(services=answers, deployments=[SHOP]).findings()
    [found] = [each for each in findings if each.subject == "services"]
    assert found.sentence.startswith("TaskMonitor and NotifierService answer, and what is sent or returned cannot be")
    assert found.remedy == "set KALLBACK_RESTATE_JOURNAL_VALUE_CODEC as bridges have it, and as the services need it"


async def test_a_topic_that_is_missing_is_one_problem() -> None:
    """The handler that cannot publish says it; its workers are not looked at because of it."""
    tried = unpublished(60_000, f"{missing_topic('cook')}; or this user may not see it")
    tables = pending() | {"sys_journal": [*pending()["sys_journal"], *tried["sys_journal"]]}
    findings = await Cluster(journals=tables, missing=frozenset({"cook"})).findings("cook")
    assert [(each.subject, each.severity) for each in findings if each.severity in (PROBLEM, FOLLOWS)] == [
        ("publish", PROBLEM),
        ("topics", FOLLOWS),
    ]
    assert findings[-1].sentence == "because of this not checked: workers of cook"


async def test_a_worker_that_has_stopped_is_one_problem() -> None:
    """Its group has read several topics; those that were never read are another one."""
    unread = {"bake": [TopicGroup("kitchen", 0, 3)], "cook": [TopicGroup("kitchen", 0, 1)], "fry": []}
    stopped, never = unread_workers_findings(unread)
    assert stopped.sentence == "nothing reads bake, cook (no member of kitchen reads them)"
    assert stopped.remedy == "start workers that read them"
    assert (never.sentence, never.remedy) == ("nothing reads fry", "start a worker that reads fry")


def with_result() -> dict[str, list[dict[str, Any]]]:
    """Rows of one handler whose result came, and which fails with it."""
    tables = pending()
    came = msgspec.to_builtins(signal(17)) | {"index": 5}
    [invocation] = tables["sys_invocation_status"]
    failing = InvocationStatus(INVOCATION, "Shop/order", "backing-off", 5, "no oven")
    return {
        "sys_invocation_status": [invocation | {"journal_size": 6}],
        "sys_journal": [*tables["sys_journal"], came],
    } | rows_of(failing)


async def test_a_handler_that_fails_with_its_result_is_a_problem() -> None:
    """No task is pending for it any more, and it is one of this environment nevertheless."""
    [found] = of(PROBLEM, await Cluster(journals=with_result()).findings())
    assert found.sentence.startswith("1 invocation of Shop/order cannot go on")


async def test_a_task_whose_result_came_is_not_said_to_have_ended() -> None:
    """Its handler is what to look at."""
    task, invocation = (await Cluster(journals=with_result()).findings(SOUP))[-2:]
    assert task.sentence == "its result came, and its handler has not gone on yet"
    assert (invocation.subject, invocation.severity) == ("invocation", PROBLEM)


async def test_the_invocation_of_a_task_whose_service_is_down_follows() -> None:
    """There is nothing to repair in its handler."""
    cluster = Cluster(services=SILENT, deployments=[SHOP], journals=pending() | DOWN)
    findings = await cluster.findings(SOUP)
    assert [each.subject for each in of(PROBLEM, findings)] == ["services", "record"]
    [follows] = of(FOLLOWS, findings)
    assert "goes on when its service answers" in follows.sentence


def test_failures_from_before_a_service_answered_again_are_no_problem() -> None:
    """Restate tries again by itself; what is paused must be resumed."""
    [found] = StuckInvocations([unreached("Shop/order", "inv_1", "paused")], answering={SHOP.id}).findings({"inv_1"})
    assert found.severity is WARNING
    assert "and does now" in found.sentence
    assert found.remedy.endswith('/invocations/inv_1/resume"')


def test_a_deployment_that_is_down_is_one_finding_for_all_of_its_handlers() -> None:
    """It may serve handlers of another team alone, so kallback's services do not tell."""
    stuck = [unreached(f"Shop/h{number}", f"inv_{number}") for number in range(5)]
    [found] = StuckInvocations(stuck).findings({"inv_1"})
    assert found.severity is PROBLEM
    assert found.sentence.startswith("5 invocations of Shop/h0, Shop/h1, Shop/h2 and 2 more handlers cannot go on")
    assert "http://shop:9080/" in found.sentence


async def test_a_restate_that_is_down_is_one_problem() -> None:
    """Neither its ingress nor the pending tasks can be looked at; topics and bridges can."""
    away = [ServiceAnswer(name, ServiceState.UNREACHABLE, "connection refused") for name in NAMES]
    findings = await Cluster(services=away, restate_available=False).findings()
    assert [each.subject for each in of(PROBLEM, findings)] == ["restate"]
    assert [each.sentence for each in of(FOLLOWS, findings)] == [
        "Restate's ingress gives no answer either (connection refused); they were not asked",
        "because of this not checked: clocks, handlers, pending tasks",
    ]
    assert {"topics", "bridges"} <= {each.subject for each in of(OK, findings)}


async def test_a_kafka_that_is_down_is_one_problem() -> None:
    """Handlers that cannot publish follow from it."""
    tables = unpublished(60_000, "no broker answers", kind="unreachable") | rows_of()
    findings = await Cluster(available=False, journals=tables).findings("cook")
    assert [each.subject for each in of(PROBLEM, findings)] == ["kafka"]
    publish, unchecked = of(FOLLOWS, findings)
    assert publish.sentence == "1 handler waits to publish tasks of type cook, such as Shop/order"
    assert unchecked.sentence == ("because of this not checked: topics, bridges, open transactions, workers of cook")


async def test_what_handlers_say_of_kafka_is_a_problem_if_it_answers_here() -> None:
    """They use another address, or their network is another one."""
    tables = unpublished(60_000, "no broker answers", kind="unreachable")
    assert [each.subject for each in of(PROBLEM, await Cluster(journals=tables).findings())] == ["publish"]


async def test_the_dead_letters_of_pending_tasks_are_among_what_a_missing_kafka_hides() -> None:
    """Beside the workers of their type."""
    findings = await Cluster(available=False, journals=pending()).findings()
    assert of(FOLLOWS, findings)[-1].sentence.endswith("open transactions, workers of cook, dead letters")


@pytest.mark.parametrize(("is_unread", "severity"), [(True, FOLLOWS), (False, WARNING)])
def test_a_task_that_no_worker_has_begun_follows_from_a_topic_that_nothing_reads(
    *, is_unread: bool, severity: Severity
) -> None:
    """Where workers read the topic, it is the first sign of something else."""
    task = replace(TASK, progress=AttemptProgress(0))
    assert state_finding(task, 1, is_unread=is_unread).severity is severity


def test_calls_that_have_not_begun_are_said_to_go_on_at_a_new_address() -> None:
    """Restate binds an invocation to a deployment when it has begun there; others go on at the last one registered."""
    waiting = unreached("TaskMonitor/alarm")
    begun = msgspec.structs.replace(unreached("Shop/order", "inv_2"), pinned_deployment_id=SHOP.id)
    [moves] = StuckInvocations([waiting]).findings()
    [stays] = StuckInvocations([waiting, begun]).findings()
    assert "or register the address that it has moved to" in moves.remedy
    assert "what began there goes on only there" in stays.remedy


@pytest.mark.parametrize(("known", "is_said"), [(("k1",), True), (("k1", "k2"), False), ((), False)])
def test_a_task_that_was_signed_with_another_key_is_said(known: tuple[str, ...], *, is_said: bool) -> None:
    """In a rotation in the wrong order its worker is at work, and bridges refuse what it reports."""
    text = Keyring({"k2": b"2" * 32}).sign(Token("cook", TaskId(SOUP), Attempt(1), AWAKEABLE), "results")
    found = key_finding(text, known)
    assert (found is not None) is is_said
    if found is not None:
        assert (found.severity, "'k2'" in found.sentence) == (WARNING, True)
    assert key_finding("no token", known) is None


async def test_a_deadline_that_has_passed_follows_from_an_invocation_that_is_paused() -> None:
    """Its handler cannot go on until it is resumed."""
    paused = InvocationStatus(INVOCATION, "Shop/order", "paused", 70, "no oven")
    findings = await Cluster(journals=pending() | rows_of(paused), now=1_001.0).findings(SOUP)
    assert [each.subject for each in of(PROBLEM, findings)] == ["invocation", "record"]
    assert [each.subject for each in of(FOLLOWS, findings)] == ["task"]


def test_a_permission_that_is_missing_for_many_topics_is_one_problem() -> None:
    """With all of their names: an administrator adds them at once. A login that is refused is said at once."""
    access = Access()
    refused = "looking up {} (DESCRIBE) failed: let an administrator add the missing ACL"
    for names, check in (("'a', 'b'", "topics"), ("'cook'", "workers of cook"), ("'a'", "bridges")):
        assert list(access.failed(AccessDeniedError(refused.format(names)), check)) == []
    login = AccessDeniedError("connecting to Kafka failed: the login of user 'ann' was refused")
    assert [each.sentence for each in access.failed(login, "dead letters")] == [str(login)]
    problems = [(each.severity, each.sentence) for each in access.unchecked()]
    assert problems == [
        (PROBLEM, refused.format("'a', 'b', 'cook'")),
        (FOLLOWS, "because of this not checked: topics, workers of cook, bridges"),
        (FOLLOWS, "because of this not checked: dead letters"),
    ]
