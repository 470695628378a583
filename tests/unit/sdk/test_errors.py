"""The terminal errors of the sdk."""

from __future__ import annotations

import pickle

import pytest
from restate import TerminalError

from kallback.protocol import Attempt, Problem, TaskId
from kallback.sdk import (
    CompletionRefused,
    InvalidResult,
    StaleResult,
    TaskCancelled,
    TaskError,
    TaskFailed,
    TaskNotSent,
    TaskTimedOut,
    UnknownTask,
)

LEAVES = (TaskFailed, InvalidResult, StaleResult, TaskTimedOut, TaskNotSent, TaskCancelled)
PROBLEM = Problem("OutOfStock", 422, "no basil", extensions={"dish": "pesto"})


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_leaf_is_terminal(leaf: type[TaskError]) -> None:
    """Restate must never try a handler again because of one of these."""
    assert issubclass(leaf, TerminalError)


@pytest.mark.parametrize("leaf", [InvalidResult, StaleResult])
def test_a_bad_result_is_a_failure(leaf: type[TaskError]) -> None:
    """`except TaskFailed` also covers what came back and is no result."""
    assert issubclass(leaf, TaskFailed)


def test_an_error_says_what_the_problem_says() -> None:
    """Code, sentence, type and the names of the task are where a caller looks for them."""
    error = TaskFailed(PROBLEM, task_type="prepare", task_id=TaskId("A" * 16))
    assert (error.status_code, error.message, str(error), error.type) == (422, "no basil", "no basil", "OutOfStock")
    assert error.metadata == {
        "kallback-problem": "OutOfStock",
        "kallback-type": "prepare",
        "kallback-task-id": "A" * 16,
    }


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [(Problem("X", title="Sold out"), "Sold out"), (Problem("OutOfStock"), "OutOfStock")],
)
def test_a_problem_without_detail_still_says_something(problem: Problem, sentence: str) -> None:
    """Title, else type, stands in for a missing detail."""
    assert str(TaskFailed(problem, task_type="prepare", task_id=TaskId("A" * 16))) == sentence


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_pickled_error_is_whole(leaf: type[TaskError]) -> None:
    """Errors cross process borders with everything they know."""
    error = leaf(PROBLEM, task_type="prepare", task_id=TaskId("A" * 16), attempt=Attempt(3))
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is leaf
    assert (copy.problem, copy.metadata, str(copy), copy.attempt) == (error.problem, error.metadata, str(error), 3)


def test_a_pickled_refusal_is_whole() -> None:
    """The same for what cannot complete anything."""
    copy = pickle.loads(pickle.dumps(CompletionRefused("wrong-tag", "forged")))
    assert (copy.reason, copy.message, copy.status_code) == ("wrong-tag", "forged", 400)


def test_a_pickled_unknown_task_is_whole() -> None:
    """It has an id and a code."""
    copy = pickle.loads(pickle.dumps(UnknownTask("A" * 16)))
    assert (copy.task_id, copy.status_code) == ("A" * 16, 404)
