"""What the doctor says of a task type by its name, and of the dead letters of what is pending."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.unit.operations.journal_rows import CAKE, INVOCATION, SOUP, value
from tests.unit.operations.test_doctor import OK, PROBLEM, WARNING, Cluster, pending

from kallback.kafka import DeadLetter, DeadLetterId, Headers, Position
from kallback.operations import InvocationStatus
from kallback.operations.doctor import Severity
from kallback.operations.doctor.findings import invocation_finding, topic_findings
from kallback.operations.doctor.letters import TaskLetter, letter_findings
from kallback.operations.doctor.pending_types import unknown_type_finding
from kallback.operations.doctor.stuck import StuckInvocations
from kallback.operations.replay_checks import ReplayRules
from kallback.protocol import Attempt, AwakeableId, Keyring, TaskHeaders, TaskId, Token
from kallback.settings import Settings, Topics

AWAKEABLE = AwakeableId("sign_1" + "A" * 32 + "AAAAEQ")


def letter(task_id: str, reason: str = "unknown-task-type") -> Headers:
    """The headers of a dead letter of a task's first attempt."""
    token = Keyring.insecure().sign(Token("cook", TaskId(task_id), Attempt(1), AWAKEABLE), "kallback.results")
    places = [("topic", "cook"), ("partition", "0"), ("offset", "7"), ("timestamp", "5"), ("at", "6"), ("group", "g")]
    dead = [("reason", reason), ("detail", "no function"), *places]
    return (("kallback-token", token.encode()), *((f"kallback-dead-{name}", text.encode()) for name, text in dead))


async def test_a_type_whose_topic_has_another_name_is_found_by_its_pending_tasks() -> None:
    """Nobody has to know the topic."""
    cluster = Cluster(unread=frozenset({"cook-jobs"}), journals=pending(topic="cook-jobs"))
    assert (await cluster.findings("cook"))[-1].remedy == "start a worker that reads cook-jobs"


async def test_a_name_that_leads_to_no_topic_is_no_reason_to_create_one() -> None:
    """The type may have another topic; or it is one of approvals, which has neither topic nor worker."""
    finding = (await Cluster().findings("albums.approve"))[-1]
    assert finding.severity is WARNING
    assert "topic=..." in finding.remedy
    assert "callbacks.awakeable" in finding.remedy


async def test_a_type_whose_name_looks_like_the_id_of_a_task_is_a_type() -> None:
    """Names of 16 characters: no pending task has that id, and some have that type."""
    name = "albums_approve16"
    cluster = Cluster(unread=frozenset({"albums"}), journals=pending(task_type=name, topic="albums"))
    assert (await cluster.findings(name))[-1].remedy == "start a worker that reads albums"
    unknown = [each.sentence for each in await Cluster(available=False).findings(name)]
    assert any(each.startswith(f"Restate has no journal with task {name}") for each in unknown)


def test_a_name_of_a_module_is_answered_with_the_form_of_a_type() -> None:
    """A module has several types; its name alone is none of them."""
    finding = unknown_type_finding("shared", is_module=True)
    assert "it is a Python module" in finding.sentence
    assert finding.remedy.endswith("kallback doctor shared:NAME")


async def test_kafka_that_does_not_answer_says_nothing_of_a_type() -> None:
    """That a topic is missing is not known then."""
    assert "no topic is named" not in str(await Cluster(available=False).findings("cook"))


@pytest.mark.parametrize(
    ("target", "attempt", "severities"), [("", 1, [PROBLEM]), ("cook", 1, [PROBLEM]), ("bake", 1, []), ("", 2, [])]
)
async def test_dead_letters_of_pending_tasks_are_looked_for(
    target: str, attempt: int, severities: list[Severity]
) -> None:
    """A record that no worker could take keeps its task until the deadline; one of an earlier attempt does not."""
    cluster = Cluster(journals=pending(attempt=attempt), letters=[letter(SOUP), letter(CAKE)])
    found = [each for each in await cluster.findings(target) if each.subject == "dead letters"]
    assert [each.severity for each in found] == severities
    for each in found:
        assert each.sentence == f"a record of task {SOUP} was dead-lettered (unknown-task-type): no function"
        assert each.remedy.endswith("kallback dead-letters show 0:1")


async def test_dead_letters_are_looked_at_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the doctor says so."""
    monkeypatch.setattr("kallback.operations.doctor.letters._ENTRIES", 2)
    finding = (await Cluster(journals=pending(), letters=[letter(CAKE)] * 2).findings())[-1]
    assert finding.sentence == "of those since the oldest task only 2 were looked at"


def test_dead_letters_of_many_tasks_are_one_finding_for_each_reason() -> None:
    """With the latest as the example."""
    ids = [TaskId(f"AAECAwQFBgcICQ{index:02}") for index in range(3)]
    dead = DeadLetter(DeadLetterId(0, 1), "unusable", "no JSON", 5, 5, Position("cook", 0, 7), 5, "g", None, b"", ())
    [finding] = letter_findings([TaskLetter(each, dead) for each in ids], ReplayRules(topics=Topics()))
    assert f"task {ids[2]} was dead-lettered (unusable), as were those of 2 more pending tasks" in finding.sentence


def test_a_dead_letter_of_a_topic_with_a_name_of_its_own_needs_an_option() -> None:
    """A token names the type alone, so a replay sends only where the operator says."""
    keyring = Keyring.insecure()
    token = keyring.sign(Token("cook", TaskId(SOUP), Attempt(1), AWAKEABLE), "kallback.results")
    headers = TaskHeaders(token, TaskId(SOUP), Attempt(1), "cook", "kallback.results").encode()
    source = Position("cook-jobs", 0, 7)
    dead = DeadLetter(DeadLetterId(0, 1), "unknown-task-type", "", 5, 5, source, 5, "g", None, b"", headers)
    rules = ReplayRules(topics=Topics(), keyring=keyring, audience="kallback.results")
    [finding] = letter_findings([TaskLetter(TaskId(SOUP), dead)], rules)
    assert "dead-letters show 0:1; a replay, if it helps, needs --allow-topic cook-jobs" in finding.remedy


def test_topics_that_are_there_are_named() -> None:
    """Those of task types are not among them."""
    names = ["kallback.results", "kallback.control"]
    [finding] = topic_findings(names, frozenset(names))
    assert (finding.severity, finding.sentence) == (OK, f"kallback's own topics exist: {', '.join(names)}")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        ("[570] Found a mismatch between the code paths taken during the previous execution", "serve the earlier code"),
        ("no oven", "repair the handler or its endpoint"),
    ],
)
@pytest.mark.parametrize("status", ["backing-off", "paused"])
def test_code_that_changed_under_a_waiting_handler_has_a_remedy_of_its_own(
    status: str, failure: str, said: str
) -> None:
    """The code of before must be served again; there is nothing to repair."""
    stuck = InvocationStatus("inv_1", "Shop/order", status, 3, failure)
    for finding in (invocation_finding(stuck, 0), *StuckInvocations([stuck]).findings()):
        assert said in finding.remedy
        assert ("restate invocations resume inv_1" in finding.remedy) is (status == "paused")


def unpublished(until_ms: int, *details: str, kind: str = "not-set-up") -> dict[str, list[dict[str, Any]]]:
    """Rows of one handler that waits for Kafka until a time, after tries that failed so."""
    name = "wait for Kafka, then publish cook"
    sleep = {"Command": {"Sleep": {"wake_up_time": until_ms, "completion_id": 9, "name": name}}}
    rows = [{"id": INVOCATION, "index": 9, "name": name, "entry_lite_json": json.dumps(sleep)}]
    for number, detail in enumerate(details):
        failed = {"failures": {"0": {"type": kind, "kind": "k", "status": 500, "detail": detail}}}
        tried = msgspec.to_builtins(value(number + 1, json.dumps(failed).encode()))
        rows.append(tried | {"index": number, "entry_lite_json": "{}"})
    return pending() | {"sys_journal": rows}


async def test_handlers_that_cannot_publish_are_named() -> None:
    """With the reason of the last try: no list of pending tasks has them."""
    cluster = Cluster(journals=unpublished(60_000, "no broker answers", "Kafka topic 'cook' does not exist"))
    [finding] = [each for each in await cluster.findings() if each.subject == "publish"]
    assert finding.severity is PROBLEM
    assert finding.sentence == (
        "1 handler waits to publish tasks of type cook, such as Shop/order: Kafka topic 'cook' does not exist"
    )


async def test_a_type_that_a_handler_cannot_publish_is_no_unknown_name() -> None:
    """The cause and its remedy are there already."""
    cluster = Cluster(journals=unpublished(60_000, "Kafka topic 'cook' does not exist"))
    assert [each.subject for each in await cluster.findings("cook") if each.subject in {"publish", "type"}] == [
        "publish"
    ]


async def test_a_wait_that_is_over_is_none() -> None:
    """The journal keeps it."""
    cluster = Cluster(journals=unpublished(-40_000, "no broker answers"))
    assert [each for each in await cluster.findings() if each.subject == "publish"] == []


@pytest.mark.parametrize(("target", "severities"), [("", [WARNING]), ("cook", [PROBLEM]), ("bake", [])])
async def test_where_environments_share_a_restate_it_may_be_another_team(
    target: str, severities: list[Severity]
) -> None:
    """Unless the type is asked for."""
    settings = Settings(topics=Topics(prefix="ours."))
    cluster = Cluster(frozenset(settings.topics.all()), settings=settings, journals=unpublished(60_000, "no"))
    found = [each for each in await cluster.findings(target) if each.subject == "publish"]
    assert [each.severity for each in found] == severities
