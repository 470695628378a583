import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from kallback.protocol import Failed, Outcome, OutcomeRecord, SourcePosition, read_outcome

SOURCE = SourcePosition("kallback.results", 3, 41, 1000)


def test_outcomes_of_one_task_share_a_key() -> None:
    """The task id is the key, so that the outcomes of one task stay in order."""
    assert OutcomeRecord(Outcome.LATE, SOURCE, 1, task_id="AAECAwQFBgcICQoL").key() == b"AAECAwQFBgcICQoL"


def test_without_a_task_the_source_position_is_the_key() -> None:
    """An unverified record has no task id to be trusted."""
    assert OutcomeRecord(Outcome.UNVERIFIED, SOURCE, 1).key() == b"kallback.results/3/41"


def test_members_that_are_not_known_are_left_out() -> None:
    """An outcome record says null about nothing."""
    members = msgspec.json.decode(OutcomeRecord(Outcome.DELIVERED, SOURCE, 7).encode())
    assert sorted(members) == ["at", "kallback", "outcome", "source"]


def test_all_members_travel() -> None:
    """Reason, type, task and attempt stand beside the source position."""
    record = OutcomeRecord(Outcome.UNUSABLE, SOURCE, 7, "not-json", "t", "task", 2)
    assert msgspec.json.decode(record.encode()) == {
        "kallback": 1, "outcome": "unusable", "reason": "not-json", "at": 7, "type": "t", "task": "task", "attempt": 2,
        "source": {"topic": "kallback.results", "partition": 3, "offset": 41, "timestamp_ms": 1000},
    }  # fmt: skip


def test_an_outcome_record_is_read_back() -> None:
    """Also who sent the result by hand, why, and what it does."""
    record = OutcomeRecord(
        Outcome.DELIVERED, SOURCE, 7, None, "t", "task", 2, 1, by="alice", why="no gas", did="failed", failure="NoGas"
    )
    assert read_outcome(record.encode()) == record


@pytest.mark.parametrize("member", ["at", "attempt", "count", "offset"])
@pytest.mark.parametrize("number", [2**63, -(10**400)])
def test_numbers_that_kafka_does_not_have_are_passed_over(member: str, number: int) -> None:
    """Their digits would make a column of all lines; JSON has numbers of any length."""
    source = {"topic": "t", "partition": 0, "offset": 1, "timestamp_ms": 0}
    body: dict[str, object] = {"kallback": 1, "outcome": "delivered", "source": source, "at": 1}
    assert read_outcome(json.dumps(body).encode()) is not None
    (source if member == "offset" else body)[member] = number
    assert read_outcome(json.dumps(body).encode()) is None


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b'{"kallback":2}', b'{"kallback":1,"outcome":"eaten"}'])
def test_what_is_no_outcome_record_is_passed_over(value: bytes | None) -> None:
    """Anything can be in a topic, and later versions may know more outcomes."""
    assert read_outcome(value) is None


def test_the_largest_outcome_of_a_bridge_is_read_and_no_larger_one_is_kept() -> None:
    """Who may write to the topic could fill the memory of its readers."""
    source = SourcePosition("t" * 249, 2**31 - 1, 2**63 - 1, 2**63 - 1)
    record = OutcomeRecord(
        Outcome.UNUSABLE,
        source,
        2**63 - 1,
        reason="r" * 100,
        task_type="t" * 128,
        task_id="i" * 16,
        attempt=10**6,
        by="é" * 128,
        why="é" * 512,
        did="failed",
        failure="\0" * 200,
    )
    assert read_outcome(record.encode()) == record
    assert read_outcome(replace(record, why="w" * 16_384).encode()) is None


@pytest.mark.parametrize(
    ("members", "deed"),
    [
        ({}, None),
        ({"did": "failed"}, None),
        ({"by": "ann", "did": "failed"}, "failed by ann"),
        ({"by": "ann"}, "answered by ann"),
    ],
)
def test_an_outcome_says_what_was_done_by_hand(members: dict[str, Any], deed: str | None) -> None:
    """Outcomes of earlier bridges do not say what, and results of workers say nothing of it."""
    assert OutcomeRecord(Outcome.DELIVERED, SOURCE, 7, **members).deed == deed


@pytest.mark.parametrize(
    ("members", "result"),
    [({}, None), ({"did": "completed"}, "completed"), ({"did": "failed", "failure": "NoGas"}, "failed (NoGas)")],
)
def test_an_outcome_says_how_a_task_failed(members: dict[str, Any], result: str | None) -> None:
    """If it failed; earlier bridges do not say."""
    assert OutcomeRecord(Outcome.DELIVERED, SOURCE, 7, **members).result == result


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (b'{"type": "NoGas", "detail": "no gas"}', "NoGas"),
        (b"{}", "about:blank"),
        (b'{"type": ["NoGas"]}', "about:blank"),
        (b'{"deep": ' + b"[" * 1000 + b"]" * 1000 + b"}", None),
        (b"\xff", None),
    ],
)
def test_the_type_of_a_failure_is_read_without_the_rest(error: bytes, kind: str | None) -> None:
    """None for what cannot be read here."""
    assert Failed(error).problem_type() == kind
