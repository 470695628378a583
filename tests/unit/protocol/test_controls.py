import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import Attempt, Cancel, CancelReason, InvalidControlError, TaskId

TASK = TaskId("AAECAwQFBgcICQoL")


def test_a_cancel_without_an_attempt_covers_all() -> None:
    """No attempt named means the task as a whole."""
    assert Cancel(TASK, CancelReason.CANCELLED, 1).covers(TASK, Attempt(999))


@pytest.mark.parametrize(("attempt", "covered"), [(1, True), (2, True), (3, False)])
def test_a_cancel_of_an_attempt_covers_those_up_to_it(attempt: int, covered: bool) -> None:  # noqa: FBT001 - a table
    """A superseded attempt takes the earlier ones with it, never a later one."""
    cancel = Cancel(TASK, CancelReason.SUPERSEDED, 1, Attempt(2))
    assert cancel.covers(TASK, Attempt(attempt)) is covered


def test_a_cancel_covers_its_own_task_only() -> None:
    """Another task is another's business."""
    assert not Cancel(TASK, CancelReason.TIMED_OUT, 1).covers(TaskId("x" * 16), Attempt(1))


def test_a_tombstone_is_no_control_record() -> None:
    """A control record has a value."""
    with pytest.raises(InvalidControlError):
        Cancel.decode(None)


@given(
    st.sampled_from(CancelReason),
    st.integers(0, 2**53),
    st.none() | st.integers(1, 999_999).map(Attempt),
    st.text(max_size=16).map(TaskId),
)
def test_a_cancel_survives_the_wire(reason: CancelReason, at: int, attempt: Attempt | None, task: TaskId) -> None:
    """What is encoded is what is decoded."""
    cancel = Cancel(task, reason, at, attempt)
    assert Cancel.decode(cancel.encode()) == cancel
