"""A wrong argument in a handler's call is one terminal error that names it, never a retry without end."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import restate

from kallback.protocol import Problem, RetryPolicy, TaskType
from kallback.sdk import Callbacks, CompletionRefused, TaskNotSent, complete_awakeable, reject_awakeable
from kallback.sdk.arguments import check_served
from kallback.settings import KeySettings, Settings, Topics
from kallback.testing import HandlerTest

PREPARE = TaskType("prepare", request=dict[str, int], result=str)
SOUP = {"soup": 1}


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started, with a worker that answers at once."""
    async with HandlerTest() as started:
        started.worker.on(PREPARE).completes("B3")
        yield started


Call = Callable[[Any, restate.Context], Any]
"""What a handler does with `Callbacks`, as `Any`: the type checkers would refuse it."""


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda it, ctx: it.call(ctx, PREPARE, SOUP, key=7), "key must be a str or None, not int"),
        (lambda it, ctx: it.call(ctx, PREPARE, SOUP, key=b"t7"), "key must be a str or None, not bytes"),
        (lambda it, ctx: it.call(ctx, PREPARE, SOUP, timeout=5), r"timeout must be .* write timedelta\(seconds=5\)"),
        (lambda it, ctx: it.call(ctx, PREPARE, SOUP, timeout="5 s"), "timeout must be a timedelta or None, not str"),
        (lambda it, ctx: it.call(ctx, PREPARE, "soup"), "the request of prepare was not sent"),
        (lambda it, ctx: it.call(ctx, PREPARE, {"soup": object()}), "the request of prepare was not sent: cannot"),
        (lambda it, ctx: it.call(ctx, "prepare", SOUP), "task_type must be a TaskType, not str"),
        (lambda it, ctx: it.call(PREPARE, ctx, SOUP), "task_type must be a TaskType"),
        (lambda it, ctx: it.call(ctx, TaskType, SOUP), "task_type must be a TaskType, not the class TaskType"),
        (lambda it, ctx: it.start(ctx, PREPARE, SOUP, key=7.5), "key must be a str or None, not float"),
        (lambda it, ctx: it.start_many(ctx, PREPARE, [SOUP], keys=[()]), r"keys\[0\] must be a str or None, not tuple"),
        (lambda it, ctx: it.start_many(ctx, PREPARE, [SOUP], keys="a"), "keys must be a list or another sequence"),
        (lambda it, ctx: it.start_many(ctx, PREPARE, "soup"), "requests must be a list or another sequence, not str"),
        (lambda it, ctx: it.start_many(ctx, PREPARE, iter([SOUP])), "requests must be a list or another sequence"),
        (lambda it, ctx: it.call(ctx, PREPARE, SOUP, timeout=timedelta.max), "give one at most 36500 days, or None"),
        (lambda it, ctx: it.awakeable(ctx, PREPARE, timeout=timedelta.max), "at most 36500 days"),
        (lambda it, ctx: it.awakeable(ctx, PREPARE, timeout=5), "timeout must be a timedelta or None, not int"),
        (lambda it, ctx: it.awakeable(ctx, None), "task_type must be a TaskType, not NoneType"),
        (lambda it, ctx: it.call(ctx, PREPARE, SOUP, retry=3), r"call\(\) got an unexpected keyword argument 'retry'"),
        (lambda it, ctx: it.call(ctx, PREPARE), r"call\(\) missing 1 required positional argument: 'request'"),
        (lambda it, ctx: it.call(ctx, task_type=PREPARE, request=SOUP, ky="t7"), "unexpected keyword argument 'ky'"),
        (
            lambda it, ctx: it.start(ctx, PREPARE, SOUP, "t7"),
            "takes 4 positional arguments but 5 were given",
        ),
        (lambda it, ctx: it.start_many(ctx, PREPARE, [SOUP], key="t7"), "many.* unexpected keyword argument 'key'"),
        (lambda it, ctx: it.awakeable(ctx, PREPARE, key="t7"), "unexpected keyword argument 'key'"),
    ],
)
async def test_a_task_with_a_wrong_argument_is_not_sent(test: HandlerTest, call: Call, sentence: str) -> None:
    """Nothing is in the journal by then."""

    async def handler(ctx: restate.Context) -> Any:
        return await call(test.callbacks, ctx)

    with pytest.raises(TaskNotSent, match=sentence) as caught:
        await test.run(handler)
    assert caught.value.status_code == 400
    assert test.elapsed == timedelta(0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda it, _: it.gather(["task"]), r"handles\[0\] must be a TaskHandle, not str"),
        (lambda it, _: it.gather(7), "handles must be a list or another sequence, not int"),
        (lambda it, _: it.gather(iter([]), partial=True), "handles must be a list or another sequence"),
        (lambda it, _: it.first([None]), r"handles\[0\] must be a TaskHandle, not NoneType"),
        (lambda it, _: it.first([], "1"), "n must be an int, not str"),
        (lambda it, ctx: it.progress(ctx, 7), "task_id must be a str, not int"),
        (lambda it, ctx: it.progress(ctx, "t\ud800"), "task_id cannot be encoded as UTF-8"),
        (lambda it, ctx: it.progress(ctx, "t", timeout=5), "timeout must be a timedelta, not int"),
        (lambda it, ctx: it.progress(ctx, "t", timeout=timedelta(0)), "timeout must be longer than 0"),
        (lambda it, ctx: it.progress(ctx, "t", timeout=timedelta.max), "at most 36500 days"),
        (lambda it, _: it.gather([], partly=True), r"gather\(\) got an unexpected keyword argument 'partly'"),
        (lambda it, _: it.first([], count=1), r"first\(\) got an unexpected keyword argument 'count'"),
        (lambda it, _: it.all_end_before([]), "missing 1 required positional argument: 'future'"),
    ],
)
async def test_what_is_collected_must_be_handles(test: HandlerTest, call: Call, sentence: str) -> None:
    """A coroutine, an id or a number is no handle."""

    async def handler(ctx: restate.Context) -> Any:
        return await call(test.callbacks, ctx)

    with pytest.raises(restate.TerminalError, match=sentence) as caught:
        await test.run(handler)
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda it, ctx: it.complete(ctx, 7, "B3"), "token must be of type str, not int"),
        (lambda it, ctx: it.fail(ctx, None, Problem()), "token must be of type str, not NoneType"),
        (
            lambda it, ctx: it.complete(ctx, "t", result="B3"),
            r"complete\(\) got an unexpected keyword",
        ),
        (lambda it, ctx: it.fail(ctx, "t"), r"fail\(\) missing a required argument: 'problem'"),
        (lambda _, ctx: complete_awakeable(ctx, id="t"), r"complete_awakeable\(\) missing"),  # type: ignore[call-arg] # wrong on purpose
        (lambda _, ctx: complete_awakeable(ctx, 7), "awakeable_id must be of type str, not int"),  # type: ignore[arg-type] # wrong on purpose
        (lambda _, ctx: reject_awakeable(ctx, "sign_1", 7), "message must be of type str"),  # type: ignore[arg-type] # wrong on purpose
        (lambda _, ctx: reject_awakeable(ctx, "sign_1", "no", "500"), "code must be of type int"),  # type: ignore[arg-type] # wrong on purpose
    ],
)
async def test_a_completion_with_a_wrong_argument_is_refused(test: HandlerTest, call: Call, sentence: str) -> None:
    """Before Restate sees it."""

    async def handler(ctx: restate.Context) -> None:
        call(test.callbacks, ctx)

    with pytest.raises(CompletionRefused, match=sentence):
        await test.run(handler)


async def test_a_failure_must_be_a_problem(test: HandlerTest) -> None:
    """A text has an `encode`, too, and its bytes are no problem object."""

    async def handler(ctx: restate.Context) -> None:
        waiting = await test.callbacks.awakeable(ctx, PREPARE)
        callbacks: Any = test.callbacks
        callbacks.fail(ctx, waiting.token, "no basil")

    with pytest.raises(CompletionRefused, match="problem must be of type Problem, not str"):
        await test.run(handler)


WRONG: list[Any] = [
    None, 7, -1, True, 1.5, float("nan"), "text", "t\ud800", b"bytes", object(), object, [], [None], ["a", 7], (), {},
    {1: 2}, iter([]), range(2), lambda: 1, timedelta(0), timedelta(-1), timedelta.max, PREPARE, Problem(), SOUP,
    math.inf, RetryPolicy(), Ellipsis, NotImplemented, Exception("x"),
]  # fmt: skip
GOOD: dict[str, Any] = {
    "task_type": PREPARE, "request": SOUP, "requests": [SOUP], "key": "k", "keys": ["k"], "timeout": timedelta(hours=1),
    "handles": [], "future": None, "n": 1, "partial": True, "or_one_fails": True, "task_id": "A" * 16,
    "token": "kb1:none", "value": 1, "problem": Problem(),
}  # fmt: skip
TAKES = {
    "call": ("task_type", "request", "key", "timeout"),
    "start": ("task_type", "request", "key", "timeout"),
    "start_many": ("task_type", "requests", "keys", "timeout"),
    "gather": ("handles", "partial"),
    "first": ("handles", "n"),
    "all_end_before": ("handles", "future", "or_one_fails"),
    "progress": ("task_id", "timeout"),
    "awakeable": ("task_type", "timeout"),
    "complete": ("token", "value"),
    "fail": ("token", "problem"),
}
"""The methods of `Callbacks` for handlers, and their arguments beside the context."""


def test_the_table_of_arguments_is_complete() -> None:
    """A new method or argument must be tried with wrong values, too."""
    methods = {name for name in vars(Callbacks) if not name.startswith("_")} - {
        "app",
        "counts",
        "from_env",
        "services",
        "stop",
    }
    assert methods == set(TAKES)
    for name, arguments in TAKES.items():
        taken = set(inspect.signature(getattr(Callbacks, name)).parameters) - {"self", "ctx"}
        assert taken == set(arguments)


@pytest.mark.parametrize(("method", "argument"), [(name, each) for name, all_ in TAKES.items() for each in all_])
async def test_no_value_of_any_argument_is_retried_without_end(test: HandlerTest, method: str, argument: str) -> None:
    """Each is taken, or ends in a terminal error: Restate retries a handler that raises anything else."""

    async def handler(ctx: restate.Context) -> None:
        for wrong in WRONG:
            given = {name: GOOD[name] for name in TAKES[method]} | {argument: wrong}
            function = getattr(test.callbacks, method)
            context = [ctx] if "ctx" in inspect.signature(function).parameters else []
            try:
                result = function(*context, **given)
                if inspect.isawaitable(result):
                    await result
            except restate.TerminalError:
                continue

    await test.run(handler)


async def test_a_context_must_be_one() -> None:
    """Whatever else is passed in its place."""
    callbacks: Any = Callbacks(Settings(keys=KeySettings(insecure=True)))
    with pytest.raises(restate.TerminalError, match=r"ctx must be the handler's restate\.Context, not NoneType"):
        await callbacks.call(None, PREPARE, SOUP)


def test_a_type_that_is_watched_needs_the_services(caplog: pytest.LogCaptureFixture) -> None:
    """An application that does not bind them would be retried without end; the error and a log line name the remedy."""
    watched = replace(PREPARE, heartbeat_every=timedelta(seconds=30))
    with pytest.raises(TaskNotSent, match=r"serve your services with callbacks\.app"):
        check_served(watched, Topics(), monitored=False)
    assert "callbacks.app([...])" in caplog.text


def test_a_type_of_awakeables_is_not_published() -> None:
    """No worker would do it, and its handler would wait until the deadline."""
    approve = TaskType("approve", None, bool, awakeable_only=True)
    with pytest.raises(TaskNotSent, match=r"callbacks\.awakeable") as refused:
        check_served(approve, Topics(), monitored=True)
    assert refused.value.status_code == 400
