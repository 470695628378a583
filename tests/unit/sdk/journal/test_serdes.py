"""What is decoded inside Restate's future: every failure must be terminal."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from restate import TerminalError

from kallback.protocol import Attempt, Completed, Failed, Problem, TaskId, TaskType, seal
from kallback.protocol.published import JournaledAwakeable
from kallback.sdk import InvalidResult, StaleResult, TaskFailed
from kallback.sdk.journal.identity import TaskIdentity
from kallback.sdk.journal.serdes import DeferredSerde, EnvelopeSerde, StepSerde
from kallback.sdk.journal.token_awakeables import AwakeableStepSerde


@dataclass
class Prepared:
    """A result."""

    shelf: str


TASK = TaskId("A" * 16)
PREPARE = TaskType("prepare", str, Prepared)
SERDE = EnvelopeSerde(PREPARE, TASK, Attempt(2))


def test_a_completed_envelope_is_the_typed_value() -> None:
    """Marker, task and attempt fit: the value is converted."""
    assert SERDE.deserialize(seal(TASK, Attempt(2), Completed(b'{"shelf":"B3"}'))) == Prepared("B3")


def test_a_failed_envelope_is_the_workers_failure() -> None:
    """The problem comes out whole."""
    with pytest.raises(TaskFailed) as caught:
        SERDE.deserialize(seal(TASK, Attempt(2), Failed(Problem("OutOfStock", 422).encode())))
    assert caught.value.problem == Problem("OutOfStock", 422)
    assert caught.value.task_id == TASK


@pytest.mark.parametrize(("task", "attempt"), [("B" * 16, 2), ("A" * 16, 1), ("A" * 16, 3)])
def test_an_envelope_of_another_attempt_is_stale(task: str, attempt: int) -> None:
    """Fencing: task id and attempt must both fit, also for failures."""
    for answer in (Completed(b'{"shelf":"B3"}'), Failed(b"{}")):
        with pytest.raises(StaleResult):
            SERDE.deserialize(seal(TaskId(task), Attempt(attempt), answer))


@pytest.mark.parametrize("value", [b'{"shelf":3}', b"{}", b"null", b"[]"])
def test_a_value_of_another_type_is_invalid(value: bytes) -> None:
    """The sentence names the task type and the member that does not fit."""
    with pytest.raises(InvalidResult, match="the result of prepare does not fit Prepared"):
        SERDE.deserialize(seal(TASK, Attempt(2), Completed(value)))


def test_a_null_where_a_value_is_declared_says_what_came() -> None:
    """A record without a value is the usual cause, and the worker's author looks for it there."""
    with pytest.raises(InvalidResult, match="the worker sent null, or a record without a value"):
        SERDE.deserialize(seal(TASK, Attempt(2), Completed(b"null")))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b'"FAILED"', '"FAILED"'),
        (b'["a",\n "b"]', r'\["a", "b"\]'),
        ('"\x9b[31mred"'.encode(), '"\ufffd\\[31mred"'),
    ],
)
def test_a_value_of_another_type_is_in_the_sentence(value: bytes, said: str) -> None:
    """A worker that reports an error in its own way says there what happened; a terminal shows it harmlessly."""
    with pytest.raises(InvalidResult, match=f"the worker sent {said}\n"):
        SERDE.deserialize(seal(TASK, Attempt(2), Completed(value)))


def test_of_a_long_value_only_the_beginning_is_in_the_sentence() -> None:
    """The sentence is logged, and kept in Restate's journal."""
    with pytest.raises(InvalidResult) as caught:
        SERDE.deserialize(seal(TASK, Attempt(2), Completed(b'"' + b"x" * 5000 + b'"')))
    assert caught.value.message.endswith('the worker sent "' + "x" * 199 + "...")


@given(st.binary() | st.binary().map(lambda value: seal(TASK, Attempt(2), Completed(value))))
def test_no_bytes_raise_anything_but_a_terminal_error(data: bytes) -> None:
    """Any other exception would be retried for ever."""
    with contextlib.suppress(TerminalError):
        SERDE.deserialize(data)


def test_deep_nesting_is_terminal() -> None:
    """A recursion error would be retried for ever as well."""
    with pytest.raises(InvalidResult):
        SERDE.deserialize(seal(TASK, Attempt(2), Completed(b"[" * 100_000)))


def test_nobody_serializes_a_result() -> None:
    """The waiting side completes nothing."""
    with pytest.raises(TerminalError):
        SERDE.serialize(Prepared("B3"))


def test_a_step_comes_back_as_it_was() -> None:
    """What a step returned is what a replay reads."""
    serde = StepSerde[TaskIdentity](TaskIdentity)
    identity = TaskIdentity(TASK, 1_700_000_000_000, "00-0-0-0")
    assert serde.deserialize(serde.serialize(identity)) == identity


def test_the_journal_of_a_mint_is_short() -> None:
    """What is not known is not written."""
    assert StepSerde[TaskIdentity](TaskIdentity).serialize(TaskIdentity(TASK)) == msgspec.json.encode({"task_id": TASK})


def test_a_step_of_another_version_is_terminal() -> None:
    """A journal that cannot be read must not be tried for ever."""
    with pytest.raises(TerminalError, match="another version of kallback"):
        StepSerde[TaskIdentity](TaskIdentity).deserialize(b'{"other": 1}')


def test_a_serde_may_be_known_after_its_awakeable() -> None:
    """It then does what that one does; before, nothing may be awaited."""
    serde = DeferredSerde[Prepared]()
    with pytest.raises(AssertionError):
        serde.deserialize(b"{}")
    serde.known = SERDE
    assert serde.deserialize(seal(TASK, Attempt(2), Completed(b'{"shelf":"B3"}'))) == Prepared("B3")
    with pytest.raises(TerminalError):
        serde.serialize(Prepared("B3"))


def test_versions_read_each_others_steps_of_awakeables() -> None:
    """The awakeable stands before what an earlier version writes and reads, so either may replay a journal."""
    newer = AwakeableStepSerde(JournaledAwakeable("orders.approve", 17))
    older = StepSerde[TaskIdentity](TaskIdentity)
    identity = TaskIdentity(TASK, 1_700_000_000_000, cancel_key="k1", turn=3)
    written = newer.serialize(identity)
    assert written.startswith(b'{"sent":null,"awakeable":{"task_type":"orders.approve","signal":17},"task_id":')
    assert older.deserialize(written) == newer.deserialize(older.serialize(identity)) == identity
