"""What the doctor says of a task type by its name, and of the dead letters of what is pending."""

from __future__ import annotations

import pytest
from tests.unit.operations.journal_rows import CAKE, SOUP
from tests.unit.operations.test_doctor import OK, PROBLEM, WARNING, Cluster, pending

from kallback.kafka import DeadLetter, DeadLetterId, Headers, Position
from kallback.operations import InvocationStatus
from kallback.operations.doctor import Severity
from kallback.operations.doctor.findings import invocation_finding, stuck_findings, topic_findings
from kallback.operations.doctor.letters import TaskLetter, letter_findings
from kallback.protocol import Attempt, AwakeableId, Keyring, TaskId, Token

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
    monkeypatch.setattr("kallback.operations.doctor.examine._ENTRIES", 2)
    finding = (await Cluster(journals=pending(), letters=[letter(CAKE)] * 2).findings())[-1]
    assert finding.sentence == "of those since the oldest task only 2 were looked at"


def test_dead_letters_of_many_tasks_are_one_finding_for_each_reason() -> None:
    """With the latest as the example."""
    ids = [TaskId(f"AAECAwQFBgcICQ{index:02}") for index in range(3)]
    dead = DeadLetter(DeadLetterId(0, 1), "unusable", "no JSON", 5, 5, Position("cook", 0, 7), 5, "g", None, b"", ())
    [finding] = letter_findings([TaskLetter(each, dead) for each in ids])
    assert f"task {ids[2]} was dead-lettered (unusable), as were those of 2 more pending tasks" in finding.sentence


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
    for finding in (invocation_finding(stuck, 0), *stuck_findings([stuck])):
        assert said in finding.remedy
        assert ("restate invocations resume inv_1" in finding.remedy) is (status == "paused")
