"""Which functions can do a task: judged when they are registered."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import pytest

from kallback.protocol import ConfigurationError, TaskType
from kallback.workers import Executor, TaskContext, Worker
from kallback.workers.registration.functions import inspect_function
from kallback.workers.registration.options import Registration

if TYPE_CHECKING:
    from collections.abc import Iterator

ECHO = TaskType("echo", request=str, result=str)


async def with_context(text: str, task: TaskContext) -> str:
    """Take both."""
    return text + task.task_id


async def without_context(text: str) -> str:
    """Take the request only."""
    return text


def with_default(text: str, task: TaskContext | None = None) -> str:
    """Take the context if there is one, as a function that is called elsewhere too."""
    return text if task else ""


def with_other_default(text: str, times: int = 2) -> str:
    """Have an optional parameter of one's own."""
    return text * times


class Callable:
    """An object that is called."""

    async def __call__(self, text: str, task: TaskContext) -> str:
        """Take both."""
        return text + task.task_id


class Kitchen:
    """A class with methods."""

    async def cook(self, text: str, task: TaskContext) -> str:
        """Take both."""
        return text + task.task_id


@pytest.mark.parametrize(
    ("function", "executor", "takes_context"),
    [
        pytest.param(with_context, Executor.LOOP, True, id="both"),
        pytest.param(without_context, Executor.LOOP, False, id="request only"),
        pytest.param(with_default, Executor.THREAD, True, id="context by default"),
        pytest.param(with_other_default, Executor.THREAD, False, id="another default"),
        pytest.param(Callable(), Executor.LOOP, True, id="object"),
        pytest.param(Kitchen().cook, Executor.LOOP, True, id="method"),
        pytest.param(functools.partial(with_context), Executor.LOOP, True, id="partial"),
        pytest.param(lambda text: text, Executor.THREAD, False, id="lambda"),
        pytest.param(lambda text, task: text + task.task_id, Executor.THREAD, True, id="lambda of two"),
        pytest.param(lambda *everything: everything[0], Executor.THREAD, False, id="any number"),
        pytest.param(str.upper, Executor.THREAD, False, id="method of a built-in"),
    ],
)
def test_shapes_that_work(function: Any, executor: Executor, *, takes_context: bool) -> None:
    """Coroutine functions run on the loop; the second parameter is for the context."""
    found = inspect_function(ECHO, function)

    assert (found.executor, found.takes_context) == (executor, takes_context)


def no_parameters() -> str:
    """Take nothing."""
    return ""


def three(a: str, b: TaskContext, c: int) -> str:
    """Take too much."""
    return f"{a}{b}{c}"


def keyword_only(text: str, *, task: TaskContext) -> str:
    """Want what is never given by name."""
    return f"{text}{task}"


def wrong_request(number: int) -> str:
    """Take another type."""
    return str(number)


def wrong_result(text: str) -> int:
    """Return another type."""
    return len(text)


def wrong_context(text: str, task: str) -> str:
    """Expect another second parameter."""
    return text + task


def generator(text: str) -> Iterator[str]:
    """Yield."""
    yield text


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (no_parameters, r"write \(str\) or \(str, TaskContext\)"),
        (three, "cannot do task type echo"),
        (keyword_only, "cannot do task type echo"),
        (wrong_request, "takes int, but the request of task type echo is str"),
        (wrong_result, "returns int, but the result of task type echo is str"),
        (wrong_context, "the second parameter is the task's TaskContext, not str"),
        (generator, "is a generator"),
        ("cook", "cannot be called"),
    ],
)
def test_shapes_that_do_not(function: Any, sentence: str) -> None:
    """A wrong signature is an error at registration that says what is expected."""
    with pytest.raises(ConfigurationError, match=sentence):
        Worker("kitchen").task(ECHO)(function)


def local() -> Any:
    """Define a function inside another one."""

    def inner(text: str) -> str:
        return text

    return inner


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (local(), r"local\.<locals>\.inner cannot have executor='process'.*not at the top level.*Move it"),
        (lambda text: text, "cannot have executor='process'"),
        (Kitchen().cook, "is an async def and cannot have executor='process'"),
        (with_context, "is an async def and cannot have executor='process'"),
        (functools.partial(local()), "cannot have executor='process'"),
    ],
)
def test_functions_that_no_child_could_import(function: Any, sentence: str) -> None:
    """What a child process cannot import by its name is refused at registration."""
    with pytest.raises(ConfigurationError, match=sentence):
        Worker("kitchen").task(ECHO, executor="process")(function)


@pytest.mark.parametrize(("executor", "function"), [(Executor.LOOP, with_default), (Executor.THREAD, with_context)])
def test_a_kind_that_contradicts_the_function(executor: Executor, function: Any) -> None:
    """A coroutine runs on the loop, a plain function does not."""
    with pytest.raises(ConfigurationError, match="cannot have executor"):
        Worker("kitchen").task(ECHO, executor=executor)(function)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"executor": "fiber"}, "executor='fiber' is not known: write 'loop' or 'thread' or 'process'"),
        ({"acknowledge": "never"}, "write 'result' or 'start'"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
        ({"acknowledge": "start"}, "needs heartbeats.*give the task type a heartbeat_every"),
    ],
)
def test_registrations_that_cannot_work(options: Any, sentence: str) -> None:
    """Each is refused where it is written, before a function is looked at."""
    with pytest.raises(ConfigurationError, match=sentence):
        Worker("kitchen").task(ECHO, **options)


def test_processes_are_as_many_as_cpus_unless_said_otherwise() -> None:
    """Sixteen processes that compute on two cores help nobody; threads are bounded by the worker alone."""
    found = inspect_function(ECHO, with_default, Registration(executor=Executor.PROCESS))

    assert found.limit in range(1, (os.cpu_count() or 1) + 1)
    assert inspect_function(ECHO, with_default, Registration(executor=Executor.PROCESS, concurrency=9)).limit == 9
    assert inspect_function(ECHO, with_default).limit is None


def test_annotations_that_cannot_be_resolved_are_left_to_type_checkers() -> None:
    """A name that exists for type checkers only does not keep a function from being registered."""

    def cook(text: Unknown) -> Unknown:  # type: ignore[name-defined]  # noqa: F821 - the point
        return text

    assert not inspect_function(ECHO, cook).takes_context


def test_the_decorator_returns_the_function_itself() -> None:
    """A registered function can be called and tested as before."""
    assert Worker("kitchen").task(ECHO)(with_context) is with_context


def test_two_functions_for_one_type_are_refused() -> None:
    """The sentence names the first one."""
    worker = Worker("kitchen")
    worker.task(ECHO)(with_context)

    with pytest.raises(ConfigurationError, match="done by with_context already"):
        worker.task(ECHO)(without_context)


def test_a_bare_decorator_is_refused_where_it_is_written() -> None:
    """Without a task type nothing would be registered; the sentence shows the right form."""
    task: Any = Worker("kitchen").task

    with pytest.raises(ConfigurationError, match=r"without_context does: write @worker\.task\(prepare\)"):
        task(without_context)


@pytest.mark.parametrize(("given", "named"), [("shop.echo", "'shop.echo'"), (None, "'None'"), (TaskType, "'TaskType'")])
def test_a_decorator_with_another_value_than_a_task_type_names_it(given: Any, named: str) -> None:
    """It was called a bare decorator, of a function `str`."""
    task: Any = Worker("kitchen").task

    with pytest.raises(ConfigurationError, match=rf"needs a TaskType, and got {named}: write") as refused:
        task(given)
    assert "bare" not in str(refused.value)


def test_a_worker_needs_a_name() -> None:
    """An empty group would not be a group."""
    with pytest.raises(ConfigurationError, match="needs a name"):
        Worker(" ")


def test_making_a_worker_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that defines a worker can be imported anywhere; settings are read at the start."""
    monkeypatch.setenv("KALLBACK_KAFKA_CONNECT_TIMEOUT", "never")

    assert Worker("kitchen").task_types == ()


async def test_starting_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without settings of its own a worker starts with those of the environment."""
    monkeypatch.setenv("KALLBACK_KAFKA_CONNECT_TIMEOUT", "never")
    worker = Worker("kitchen")
    worker.task(ECHO)(with_context)

    with pytest.raises(ConfigurationError, match="KALLBACK_KAFKA_CONNECT_TIMEOUT"):
        await worker.start()
