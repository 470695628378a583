"""The README for authors of workers says what the code does."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from kallback.protocol import (
    ATTEMPT_TIMED_OUT,
    HEARTBEAT_LOST,
    MAX_DETAILS_BYTES,
    NOT_STARTED,
    UNDECODABLE_TASK,
    UNUSABLE_RESULT,
    Attempt,
    Cancel,
    CancelProof,
    CancelReason,
    Completed,
    Failed,
    Outcome,
    Problem,
    Report,
    RetryAfter,
    RetryPolicy,
    Signal,
    TaskHeaders,
    TaskId,
    Unusable,
    Unverified,
    headers,
    problems,
    progress_headers,
    read_progress,
    read_result,
)

ROOT = Path(__file__).parents[3]
README = (ROOT / "protocol" / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def python_worker() -> dict[str, Any]:
    """The names that the Python worker defines; its loop is not run."""
    [source] = [block for block in blocks("python") if "def main" in block]
    names: dict[str, Any] = {"__name__": "worker"}
    exec(compile(source, "protocol/README.md", "exec"), names)
    return names


def test_the_python_worker_answers_a_good_order() -> None:
    """Copied as it stands, it completes."""
    assert python_worker()["answer"](b'{"id":"o-1"}') == ("completed", b'{"minutes": 12}')


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[]", b"7", b"{", b"\xff"])
def test_the_python_worker_fails_a_bad_order(value: bytes | None) -> None:
    """Copied as it stands, it says why instead of dying on a poison record."""
    status, result = python_worker()["answer"](value)
    answer = read_result(result, [("kallback-token", b"kb1:x"), ("kallback-status", status.encode())]).answer()
    assert isinstance(answer, Failed)
    assert (answer.problem().type, answer.problem().status) == ("BadOrder", 422)


@pytest.mark.parametrize(("deadline", "late"), [(None, False), (b"1", True), (b"9" * 15, False), (b"9" * 5_000, False)])
def test_the_python_worker_skips_what_nobody_waits_for(deadline: bytes | None, late: bool) -> None:  # noqa: FBT001 - a table
    """No deadline means never late."""
    found = {} if deadline is None else {"kallback-deadline": deadline}
    assert python_worker()["is_late"](found) is late


TASK = {
    "kallback-version": b"1",
    "kallback-token": b"kb1:x",
    "kallback-task-id": b"AAECAwQFBgcICQoL",
    "kallback-reply-to": b"kallback.results",
}


def test_the_python_worker_takes_a_task() -> None:
    """A record with the headers of a task is worked on."""
    assert python_worker()["is_task"](TASK)


@pytest.mark.parametrize(
    "headers", [{}, {**TASK, "kallback-version": b"2"}, {**TASK, "kallback-token": None}, {"kallback-version": b"1"}]
)
def test_the_python_worker_skips_what_is_no_task(headers: dict[str, bytes | None]) -> None:
    """A record that some other program wrote does not crash it."""
    assert not python_worker()["is_task"](headers)


def test_the_python_worker_reads_no_deadline_that_is_none() -> None:
    """A deadline that is no number counts as absent."""
    assert not python_worker()["is_late"]({"kallback-deadline": b"soon"})


def test_the_structured_examples_are_read() -> None:
    """Both lines of the example are results."""
    [completed, failed] = [line for line in "".join(blocks("json")).splitlines() if '"token"' in line]
    assert read_result(completed.encode(), []).answer() == Completed(b'{"minutes": 12}')
    answer = read_result(failed.encode(), []).answer()
    assert isinstance(answer, Failed)
    assert answer.problem() == Problem("OutOfStock")


def test_the_table_of_headers_is_complete() -> None:
    """Every header that a task record may carry has its row."""
    task = TaskHeaders("t", TaskId("t"), Attempt(1), "t", "t", 1, "t", "t", 1, "t", 1, b"1", "t")
    task = replace(task, hand_back=True, retry_lost=True)
    assert None not in {getattr(task, field.name) for field in fields(task)}
    table = "".join(line for line in README.splitlines() if line.startswith("|"))
    assert [name for name, _ in task.encode() if f"`{name}`" not in table] == []


def test_the_python_progress_record_is_read() -> None:
    """Copied as it stands, the snippet echoes token and interval, and is understood."""
    [source] = [block for block in blocks("python") if "def progress" in block]
    names: dict[str, Any] = {}
    exec(compile(source, "protocol/README.md", "exec"), names)
    task = {"kallback-token": b"kb1:x", "kallback-heartbeat-every": b"500", "kallback-attempt": b"1"}
    found = read_progress(b"[1]", names["progress"](task, "heartbeat", 7))
    assert (found.token, found.report()) == ("kb1:x", Report(Signal.HEARTBEAT, 7, b"[1]", 500))
    del task["kallback-heartbeat-every"]
    assert names["progress"](task, "started", 7) == list(progress_headers("kb1:x", Signal.STARTED, 7))


def rows(first: str) -> list[list[str]]:
    """The cells of the table whose head begins with these words."""
    _, _, rest = README.partition(f"| {first} |")
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_of_progress_names_every_header() -> None:
    """And no header of ours that is not written."""
    section = README.partition("## Long tasks")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| header `([a-z-]+)`", section, re.MULTILINE))
    assert named == {name for name, _ in progress_headers("t", Signal.STARTED, 1, 1, "0")}


def test_the_limit_of_details_is_told() -> None:
    """Wherever it stands, it is the code's."""
    assert README.count(f"{MAX_DETAILS_BYTES:,} bytes") == 3


def test_the_control_examples_are_read() -> None:
    """Both lines of the example are cancels, one of all attempts and one of those up to the first."""
    [whole, one] = control_examples()
    assert (whole.attempt, whole.reason) == (None, CancelReason.TIMED_OUT)
    assert (one.attempt, one.reason) == (1, CancelReason.SUPERSEDED)


def control_examples() -> list[Cancel]:
    """The cancels that are shown."""
    lines = [line for line in "".join(blocks("json")).splitlines() if '"cancel"' in line]
    return [Cancel.decode(line.encode()) for line in lines]


def test_the_control_examples_prove_to_be_authentic() -> None:
    """Their secrets belong to the hash that is shown with them."""
    [shown] = re.findall(r"`kallback-cancel-hash: ([A-Za-z0-9_-]{43})`", README)
    assert [cancel.proof(shown) for cancel in control_examples()] == [CancelProof.AUTHENTIC] * 2


VECTORS = json.loads((ROOT / "protocol" / "vectors" / "cancel_secrets.json").read_text("utf-8"))["checked"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["description"] for vector in VECTORS])
def test_the_python_check_of_a_cancel_agrees_with_the_vectors(vector: dict[str, Any]) -> None:
    """Copied as it stands, the snippet accepts what the kit accepts, and nothing else."""
    [source] = [block for block in blocks("python") if "def is_authentic" in block and "class " not in block]
    names: dict[str, Any] = {}
    exec(compile(source, "protocol/README.md", "exec"), names)
    cancel = {} if vector["secret"] is None else {"secret": vector["secret"]}
    task = {} if vector["hash"] is None else {"kallback-cancel-hash": vector["hash"].encode()}
    assert names["is_authentic"](cancel, task) is (vector["proof"] == "authentic")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("has `retryable`", Problem(status=422, retryable=True)),
        ("has `retryable`", Problem(status=503, retryable=False)),
        ("has no `retryable`, `status` 500", Problem()),
        ("has no `retryable`, `status` 500", Problem(status=599)),
        ("has no `retryable`, `status` 400", Problem(status=499)),
        ("has no `retryable`, `status` 408", Problem(status=429)),
        ("has no `retryable`, `status` 408", Problem(status=422, retry_after=1.0)),
        ("has a `type` that", Problem("SoldOut", retryable=True)),
        *(("`attempt-timed-out`", Problem(kind)) for kind in (ATTEMPT_TIMED_OUT, NOT_STARTED, HEARTBEAT_LOST)),
        *(("`unusable-result`", Problem(kind, retryable=True)) for kind in (UNUSABLE_RESULT, UNDECODABLE_TASK)),
    ],
)
def test_the_table_of_retries_is_the_policy(row: str, problem: Problem) -> None:
    """What it says of a failure is what happens."""
    [answer] = [cells[1] for cells in rows("the failure") if cells[0].startswith(row)]
    told = {"as it says": problem.retryable}.get(answer, answer == "yes")
    found = RetryPolicy(never={"SoldOut"}).after(Attempt(1), problem)
    assert isinstance(found, RetryAfter) is told


OUR_PROBLEMS = [v for v in vars(problems).values() if isinstance(v, str) and v.startswith("urn:kallback:")]
WORDS = [
    *Outcome, *Unverified, *Unusable, *Signal, *CancelReason,
    *(name for key, name in vars(headers).items() if key.isupper() and str(name).startswith("kallback-")),
    *(kind.removeprefix("urn:kallback:") for kind in OUR_PROBLEMS),
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_wire_is_explained(word: str) -> None:
    """Whoever meets an outcome or a reason finds it there."""
    assert f"`{word}`" in README
