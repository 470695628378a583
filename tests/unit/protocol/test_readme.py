"""The README for authors of workers says what the code does."""

import re
from pathlib import Path
from typing import Any

import pytest

from kallback.protocol import (
    Attempt,
    Completed,
    Failed,
    Outcome,
    Problem,
    TaskHeaders,
    TaskId,
    Unusable,
    Unverified,
    headers,
    read_result,
)

README = (Path(__file__).parents[3] / "protocol" / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def python_worker() -> dict[str, Any]:
    """The names that the Python worker defines; its loop is not run."""
    [source] = blocks("python")
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


@pytest.mark.parametrize(("deadline", "late"), [(None, False), (b"1", True), (b"999999999999999", False)])
def test_the_python_worker_skips_what_nobody_waits_for(deadline: bytes | None, late: bool) -> None:  # noqa: FBT001 - a table
    """No deadline means never late."""
    found = {} if deadline is None else {"kallback-deadline": deadline}
    assert python_worker()["is_late"](found) is late


def test_the_structured_examples_are_read() -> None:
    """Both lines of the example are results."""
    [completed, failed] = [line for line in "".join(blocks("json")).splitlines() if '"token"' in line]
    assert read_result(completed.encode(), []).answer() == Completed(b'{"minutes": 12}')
    answer = read_result(failed.encode(), []).answer()
    assert isinstance(answer, Failed)
    assert answer.problem() == Problem("OutOfStock")


def test_the_table_of_headers_is_complete() -> None:
    """Every header that a task record may carry has its row."""
    task = TaskHeaders("t", TaskId("t"), Attempt(1), "t", "t", 1, "t", "t")
    table = "".join(line for line in README.splitlines() if line.startswith("|"))
    assert [name for name, _ in task.encode() if f"`{name}`" not in table] == []


@pytest.mark.parametrize("word", [*Outcome, *Unverified, *Unusable, headers.STATUS, headers.HEARTBEAT_EVERY])
def test_every_word_of_the_wire_is_explained(word: str) -> None:
    """Whoever meets an outcome or a reason finds it there."""
    assert f"`{word}`" in README
