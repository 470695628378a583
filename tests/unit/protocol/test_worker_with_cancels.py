"""What the Python worker for long tasks that the page of the wire prints makes of cancels. Its loop is not run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import pytest

from kallback.protocol import Attempt, Cancel, CancelReason, TaskId
from kallback.protocol.cancel_secrets import hash_of

README = (Path(__file__).parents[3] / "protocol" / "README.md").read_text("utf-8")
SECRET = "s" * 43
ID = "AAECAwQFBgcICQoL"


def printed() -> tuple[str, dict[str, Any]]:
    """The source of the worker, and the names that it defines."""
    [source] = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "class Cancels" in block]
    names: dict[str, Any] = {"__name__": "kitchen"}
    exec(compile(source, "protocol/README.md", "exec"), names)
    return source, names


SOURCE, NAMES = printed()


def cancel(attempt: int | None = None, secret: str | None = SECRET, task: str = ID) -> bytes:
    """A control record."""
    upto = None if attempt is None else Attempt(attempt)
    return Cancel(TaskId(task), CancelReason.CANCELLED, 1, upto, secret).encode()


def remembered(*records: bytes | None, most_tasks: int = 50_000) -> Any:
    """What the worker knows after these records."""
    cancels = NAMES["Cancels"](most_tasks)
    for record in records:
        cancels.remember(record)
    return cancels


def task(attempt: int = 1) -> dict[str, bytes]:
    """The headers of a task."""
    own = {"kallback-task-id": ID.encode(), "kallback-attempt": str(attempt).encode()}
    return own | {"kallback-cancel-hash": hash_of(SECRET).encode()}


@pytest.mark.parametrize(
    ("record", "attempt", "covered"),
    [
        (cancel(), 1, True),
        (cancel(), 7, True),
        (cancel(2), 1, True),
        (cancel(2), 2, True),
        (cancel(2), 3, False),
        (cancel(secret="f" * 43), 1, False),
        (cancel(secret=None), 1, False),
        (cancel(task="another"), 1, False),
    ],
)
def test_the_worker_takes_authentic_cancels_of_the_attempt_or_later_ones(
    record: bytes,
    attempt: int,
    covered: bool,  # noqa: FBT001 - a table
) -> None:
    """Null means all attempts, a number those up to it, and another secret is none."""
    assert remembered(record).cover(task(attempt)) is covered


def test_the_worker_takes_any_cancel_of_a_task_without_a_hash() -> None:
    """An older sdk wrote it."""
    older = task()
    del older["kallback-cancel-hash"]
    assert remembered(cancel(secret=None)).cover(older)


@pytest.mark.parametrize(
    "record",
    [
        *(None, b"", b"not JSON", b"\xff", b"[]", b"7", b"[" * 1_000, b"9" * 1_000, b"{}"),
        cancel().replace(b'"kallback":1', b'"kallback":2'),
        cancel().replace(b'"cancel"', b'"pause"'),
        cancel().replace(b'"attempt":null', b'"attempt":"1"'),
        cancel().replace(b'"task":', b'"tasks":'),
        cancel(secret="s" * 44),
        cancel(task=ID + "M"),
        cancel() + b" " * 1_024,
    ],
)
def test_the_worker_skips_control_records_that_it_does_not_understand(record: bytes | None) -> None:
    """It remembers nothing of them, and does not end."""
    assert remembered(record).by_task == {}


def test_a_secret_that_is_no_unicode_proves_nothing() -> None:
    """JSON can hold half a character, which Python cannot encode."""
    assert not remembered(cancel(secret="half").replace(b"half", rb"\ud800")).cover(task())


def test_forged_cancels_do_not_push_out_the_first_and_the_latest() -> None:
    """Of many cancels of one task, eight stay."""
    forged = [cancel(secret=f"{number}" * 3) for number in range(100)]
    for records in ([cancel(), *forged], [*forged, cancel()]):
        cancels = remembered(*records)
        assert len(cancels.by_task[ID]) == 8
        assert cancels.cover(task())


def test_the_worker_forgets_the_oldest_tasks() -> None:
    """Cancels of as many tasks as it is told stay in memory."""
    cancels = remembered(*(cancel(task=f"t-{number}") for number in range(10)), most_tasks=3)
    assert list(cancels.by_task) == ["t-7", "t-8", "t-9"]


def test_the_check_of_a_cancel_is_the_one_that_the_section_shows() -> None:
    """The page has one function, twice."""
    [shown] = re.findall(r"def is_authentic.*?return False\n```", README, re.DOTALL)
    assert shown.removesuffix("```") in SOURCE


@pytest.mark.parametrize("name", ["kallback-deadline", "kallback-start-by"])
@pytest.mark.parametrize(("at", "late"), [(b"1", True), (b"9" * 15, False), (b"soon", False), (b"9" * 5_000, False)])
def test_the_worker_skips_what_begins_too_late(name: str, at: bytes, late: bool) -> None:  # noqa: FBT001 - a table
    """After the deadline, or after the time to start; no text makes it end."""
    assert NAMES["is_late"](task() | {name: at}) is late


def work_of(value: bytes | None, **headers: bytes) -> Any:
    """A task that is under way."""
    own = {name.replace("_", "-"): each for name, each in headers.items()}
    return NAMES["Work"](task() | own, Mock(**{"value.return_value": value}))


@pytest.mark.parametrize("request_", [None, b"", b"{}", b"[]", b"7", b"{", b"\xff"])
def test_the_worker_for_long_tasks_fails_a_bad_order(request_: bytes | None) -> None:
    """It says why."""
    status, problem = work_of(request_).answer()
    assert (status, json.loads(problem)["type"]) == ("failed", "BadOrder")


def test_work_that_was_told_to_stop_has_no_answer() -> None:
    """Nothing is sent for it."""
    work = work_of(b'{"id": "o-1", "seconds": 600}')
    work.stop.set()
    assert work.answer() is None


def test_work_that_was_told_to_stop_is_handed_back_where_its_caller_takes_it() -> None:
    """With the details that it reported last, behind which the next attempt begins."""
    work = work_of(b'{"id": "o-1", "seconds": 600}', kallback_hand_back=b"1")
    work.report({"done": 48})
    work.stop.set()
    status, problem = work.answer()
    said = json.loads(problem)
    assert (status, said["type"], json.loads(said["last_details"])) == (
        "failed",
        "urn:kallback:handed-back",
        {"done": 48},
    )


@pytest.mark.parametrize(("busy", "called"), [(True, "pause"), (False, "resume")])
def test_partitions_that_come_while_no_task_runs_are_not_paused(busy: bool, called: str) -> None:  # noqa: FBT001 - a table
    """A task that ends during a rebalance has no partitions to resume, and those that come back are paused."""
    worker, tasks = object.__new__(NAMES["Worker"]), Mock()
    worker.tasks, worker.work = tasks, work_of(b"{}") if busy else None
    worker.on_assign(tasks, ["partition"])
    assert tasks.mock_calls == [call.assign(["partition"]), getattr(call, called)(["partition"])]
