"""`HandlerTest`: handlers on a scripted worker, a real bridge, and a simulated Restate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import restate
from restate import TerminalError

from kallback.protocol import CancelReason, ConfigurationError, Outcome, Problem, RetryPolicy, TaskType, UnverifiedError
from kallback.sdk import TaskFailed, TaskNotSent, TaskTimedOut
from kallback.testing import HandlerTest, NotSimulatedError, StuckHandlerError
from kallback.workers import TaskContext, TaskFailure, Worker

MINUTE, HOUR, WEEK = timedelta(minutes=1), timedelta(hours=1), timedelta(weeks=1)


@dataclass
class Order:
    """What is asked for."""

    dish: str


PREPARE = TaskType("prepare", request=Order, result=str, timeout=HOUR)
RETRIED = TaskType("retried", request=Order, result=str, timeout=HOUR, retry=RetryPolicy(attempts=3))
FOREVER = TaskType("forever", request=Order, result=str, timeout=None)
PROBLEM = Problem("Refused", 422, "too expensive")
WATCHED = TaskType("watched", request=Order, result=str, start_timeout=MINUTE, heartbeat_every=MINUTE, timeout=HOUR)


@pytest.fixture(name="test")
async def started_test() -> AsyncIterator[HandlerTest]:
    """One that is started."""
    async with HandlerTest() as started:
        yield started


def calling(test: HandlerTest, task_type: TaskType[Order, str] = PREPARE, **options: Any) -> Any:
    """A handler that has one task done."""

    async def handler(ctx: restate.Context, dish: str) -> str:
        return await test.callbacks.call(ctx, task_type, Order(dish), **options)

    return handler


async def test_a_handler_gets_the_scripted_result(test: HandlerTest) -> None:
    """And the script saw the task."""
    kitchen = test.worker.on(PREPARE).completes("B3")

    assert await test.run(calling(test, key="o-1"), "soup") == "B3"
    assert [(each.request, each.key) for each in kitchen.tasks] == [(Order("soup"), "o-1")]


async def test_the_answers_of_a_fixture_are_replaced(test: HandlerTest) -> None:
    """`on` returns the same script, so a second answer would wait behind the first one."""
    test.worker.on(PREPARE).completes("B3")
    test.worker.on(PREPARE).clear().completes("B4")
    assert await test.run(calling(test), "soup") == "B4"


APART = TaskType("apart", request=Order, result=str, results_topic="kallback.kitchen-results")


async def test_a_task_type_may_have_a_results_topic_of_its_own() -> None:
    """The worker answers there, and the bridge reads it."""
    async with HandlerTest(more_results=["kallback.kitchen-results"]) as test:
        test.worker.on(APART).completes("B3")
        assert await test.run(calling(test, APART), "soup") == "B3"
        results = [len(test.broker.records(f"kallback.{name}")) for name in ("results", "kitchen-results")]
        assert results == [0, 1]


async def test_a_results_topic_that_no_bridge_reads_is_refused_at_once(test: HandlerTest) -> None:
    """The result would lie there until the deadline."""
    with pytest.raises(TaskNotSent, match="KALLBACK_TOPICS_MORE_RESULTS") as raised:
        await test.run(calling(test, APART), "soup")
    assert raised.value.type == "urn:kallback:results-not-read"


async def test_a_task_on_a_topic_of_kallback_is_refused_at_once(test: HandlerTest) -> None:
    """No worker takes it from there, and whoever reads the topic takes it for something else."""
    with pytest.raises(TaskNotSent, match="kallback's own") as raised:
        await test.run(calling(test, TaskType("own", request=Order, result=str, topic="kallback.results")), "soup")
    assert raised.value.type == "urn:kallback:misconfigured"


async def test_a_late_answer_costs_no_time(test: HandlerTest) -> None:
    """Time jumps, and no further than the answer."""
    test.worker.on(PREPARE).completes("B3", after=timedelta(minutes=59))

    assert await test.run(calling(test), "soup") == "B3"
    assert test.elapsed == timedelta(minutes=59)


async def test_an_answer_after_the_deadline_changes_nothing(test: HandlerTest) -> None:
    """The handler timed out; the bridge calls the result late."""
    test.worker.on(PREPARE).completes("B3", after=2 * HOUR)

    with pytest.raises(TaskTimedOut):
        await test.run(calling(test), "soup")
    await test.run_pending()

    assert test.outcomes == [Outcome.LATE]


async def test_a_second_answer_is_a_duplicate(test: HandlerTest) -> None:
    """One completion counts."""
    test.worker.on(PREPARE).completes("B3", times=2)
    await test.run(calling(test), "soup")
    await test.run_pending()

    assert sorted(test.outcomes) == [Outcome.DELIVERED, Outcome.DUPLICATE]


async def test_a_failure_arrives_with_its_problem(test: HandlerTest) -> None:
    """Through envelope and serde, as in production."""
    test.worker.on(PREPARE).fails(TaskFailure("OutOfStock", "no basil", status=422, ingredient="basil"))

    with pytest.raises(TaskFailed) as caught:
        await test.run(calling(test), "pesto")

    assert (caught.value.status_code, caught.value.problem.extensions) == (422, {"ingredient": "basil"})


async def test_a_silent_worker_lets_the_task_timeout(test: HandlerTest) -> None:
    """At the deadline, and the workers are told."""
    test.worker.on(PREPARE).never_answers()

    with pytest.raises(TaskTimedOut):
        await test.run(calling(test), "soup")

    assert (test.elapsed, [each.reason for each in test.cancels]) == (HOUR, ["timed-out"])


async def test_each_attempt_gets_the_next_answer(test: HandlerTest) -> None:
    """The type's own retry policy dispatches again."""
    oven_cold = TaskFailure("OvenCold", retryable=True)
    kitchen = test.worker.on(RETRIED).fails(oven_cold).fails(oven_cold).completes("B3")

    assert await test.run(calling(test, RETRIED), "soup") == "B3"
    assert [each.headers.attempt for each in kitchen.tasks] == [1, 2, 3]


async def test_the_function_of_a_real_worker_may_answer(test: HandlerTest) -> None:
    """Handler and worker in one test."""
    worker = Worker("kitchen")

    @worker.task(PREPARE)
    def cook(order: Order, task: TaskContext) -> str:
        return f"{order.dish} {task.attempt}"

    test.worker.on(PREPARE).runs(worker)

    assert await test.run(calling(test), "soup") == "soup 1"


async def test_many_tasks_are_gathered(test: HandlerTest) -> None:
    """Each with an answer of its own."""
    test.worker.on(PREPARE).answers(lambda order: order.dish.upper(), after=MINUTE)

    async def handler(ctx: restate.Context) -> list[str]:
        handles = await test.callbacks.start_many(ctx, PREPARE, [Order("a"), Order("b"), Order("c")])
        return await test.callbacks.gather(handles)

    assert await test.run(handler) == ["A", "B", "C"]
    assert test.elapsed == MINUTE


async def test_the_sdks_select_works_on_the_futures(test: HandlerTest) -> None:
    """Whatever comes first: here a reminder, then the answer."""
    test.worker.on(PREPARE).completes("B3", after=2 * MINUTE)

    async def handler(ctx: restate.Context) -> list[Any]:
        handle = await test.callbacks.start(ctx, PREPARE, Order("soup"))
        first = await restate.select(answer=handle.future, reminder=ctx.sleep(MINUTE))
        return [first, await restate.select(answer=handle.future, reminder=ctx.sleep(HOUR))]

    assert await test.run(handler) == [["reminder", None], ["answer", "B3"]]


async def test_the_sdks_gather_works_on_the_futures(test: HandlerTest) -> None:
    """It waits for all of them, steps as well."""
    test.worker.on(PREPARE).completes("B3", after=2 * MINUTE)

    async def handler(ctx: restate.Context) -> list[Any]:
        async def step() -> str:
            return "done"

        handle = await test.callbacks.start(ctx, PREPARE, Order("soup"))
        futures = await restate.gather(handle.future, ctx.run_typed("step", step), ctx.sleep(MINUTE))
        return [await future for future in futures]

    assert await test.run(handler) == ["B3", "done", None]


async def test_a_cancelled_invocation_tells_the_workers(test: HandlerTest) -> None:
    """The 409 comes at the time that was asked for."""
    test.worker.on(PREPARE).never_answers()

    with pytest.raises(TerminalError) as caught:
        await test.run(calling(test), "soup", cancel_after=MINUTE)

    assert caught.value.status_code == 409
    assert (test.elapsed, [each.reason for each in test.cancels]) == (MINUTE, ["cancelled"])


async def test_kafka_may_be_away(test: HandlerTest) -> None:
    """The handler waits for it until the deadline."""
    test.worker.on(PREPARE).completes("B3")
    test.broker.available = False

    with pytest.raises(TaskNotSent, match="did not acknowledge"):
        await test.run(calling(test), "soup")

    assert test.elapsed == HOUR


async def test_kafka_may_come_back(test: HandlerTest) -> None:
    """The handler publishes then."""
    test.worker.on(PREPARE).completes("B3")
    test.broker.available = False
    test.after(10 * MINUTE, lambda: setattr(test.broker, "available", True))

    assert await test.run(calling(test), "soup") == "B3"
    assert 10 * MINUTE <= test.elapsed <= 12 * MINUTE


async def test_an_answer_waits_for_kafka_as_well(test: HandlerTest) -> None:
    """As a worker does that has worked for nothing otherwise."""
    test.worker.on(PREPARE).completes("B3", after=5 * MINUTE)
    test.after(MINUTE, lambda: setattr(test.broker, "available", False))
    test.after(10 * MINUTE, lambda: setattr(test.broker, "available", True))

    assert await test.run(calling(test), "soup") == "B3"
    assert test.elapsed == 10 * MINUTE


async def test_a_handler_cannot_hide_a_stuck_test(test: HandlerTest) -> None:
    """It may catch what it likes."""

    async def handler(ctx: restate.Context) -> None:
        try:
            await ctx.awakeable()[1]
        except Exception:  # noqa: BLE001 - that is the point
            return

    with pytest.raises(StuckHandlerError):
        await test.run(handler)


async def test_a_watched_type_is_answered(test: HandlerTest) -> None:
    """The simulated `TaskMonitor` answers."""
    test.worker.on(WATCHED).completes("B3")

    assert await test.run(calling(test, WATCHED), "soup") == "B3"


async def test_a_type_without_a_script_has_no_topic(test: HandlerTest) -> None:
    """The sdk's own error says so."""
    with pytest.raises(TaskNotSent, match="prepare"):
        await test.run(calling(test), "soup")


async def test_an_empty_script_is_a_mistake(test: HandlerTest) -> None:
    """It could mean anything."""
    test.worker.on(PREPARE)

    with pytest.raises(ConfigurationError, match="says nothing"):
        await test.run(calling(test), "soup")


async def test_a_handler_that_waits_for_nothing_does_not_hang_the_test(test: HandlerTest) -> None:
    """No answer, no deadline: nothing can happen."""
    test.worker.on(FOREVER).never_answers()

    with pytest.raises(StuckHandlerError, match="script an answer"):
        await test.run(calling(test, FOREVER), "soup")


async def test_a_step_that_raises_is_repeated(test: HandlerTest) -> None:
    """As often as it may."""
    tries: list[int] = []

    async def handler(ctx: restate.Context) -> int:
        async def step() -> int:
            tries.append(1)
            if len(tries) < 3:
                raise OSError("try again")
            return len(tries)

        return await ctx.run_typed("step", step)

    assert await test.run(handler) == 3


async def test_a_step_that_may_not_be_repeated_fails(test: HandlerTest) -> None:
    """With a terminal error, as on Restate."""

    async def handler(ctx: restate.Context) -> None:
        async def step() -> None:
            raise OSError("no luck")

        await ctx.run_typed("step", step, restate.RunOptions(max_attempts=2))

    with pytest.raises(TerminalError, match="no luck"):
        await test.run(handler)


async def test_an_object_has_state_and_a_key(test: HandlerTest) -> None:
    """Kept over the runs of one test."""

    async def handler(ctx: restate.ObjectContext) -> str:
        count = (await ctx.get("count", type_hint=int) or 0) + 1
        ctx.set("count", count)
        return f"{ctx.key()} {count}"

    await test.run(handler, key="k")

    assert (await test.run(handler, key="k"), test.state) == ("k 2", {"count": b"2"})


async def test_other_handlers_answer_what_the_test_says(test: HandlerTest) -> None:
    """And one-way calls are listed."""
    test.on_call("Menu", "price", lambda body: body + b"7")

    async def handler(ctx: restate.Context) -> bytes:
        ctx.generic_send("Guest", "tell", b"soon")
        return await ctx.generic_call("Menu", "price", b"1")

    assert await test.run(handler) == b"17"
    assert test.sent == [("Guest", "tell", b"soon")]


async def test_cancels_of_other_invocations_are_listed(test: HandlerTest) -> None:
    """The handler goes on, as in Restate, which tells the other one."""

    async def handler(ctx: restate.Context) -> str:
        ctx.cancel_invocation("inv_1dC8")
        await ctx.sleep(timedelta(seconds=1))
        return "gone on"

    assert await test.run(handler) == "gone on"
    assert test.cancelled == ["inv_1dC8"]


async def test_a_handler_that_cancels_its_own_invocation_gets_the_409(test: HandlerTest) -> None:
    """At its next await."""

    async def handler(ctx: restate.Context) -> None:
        ctx.cancel_invocation(ctx.request().id)
        await ctx.sleep(timedelta(seconds=1))

    with pytest.raises(TerminalError, match="cancelled") as raised:
        await test.run(handler)
    assert raised.value.status_code == 409


async def test_what_is_not_simulated_says_so(test: HandlerTest) -> None:
    """By its name."""

    async def handler(ctx: restate.WorkflowContext) -> None:
        await ctx.attach_invocation("inv_1")

    with pytest.raises(NotSimulatedError, match="attach_invocation"):
        await test.run(handler)


async def test_the_handlers_time_is_the_tests(test: HandlerTest) -> None:
    """A handler that looks at the clock sees it jump."""

    async def handler(ctx: restate.Context) -> float:
        before = await ctx.time()
        await ctx.sleep(WEEK)
        return await ctx.time() - before

    assert await test.run(handler) == WEEK.total_seconds()


async def test_an_awakeable_has_a_link_for_the_gateway(test: HandlerTest) -> None:
    """It is the gateway's address with the token."""

    async def handler(ctx: restate.Context) -> bool:
        waiting = await test.callbacks.awakeable(ctx, FOREVER)
        return waiting.url == f"https://answers.example.com/v1/{waiting.token}"

    assert await test.run(handler)


async def test_a_token_that_was_sent_is_completed_by_the_test(test: HandlerTest) -> None:
    """As by a person who answers after a day; a failure arrives in the same way."""
    answers = [lambda token: test.complete(token, "yes", after=24 * HOUR), lambda token: test.fail(token, PROBLEM)]

    async def handler(ctx: restate.Context, number: int) -> str:
        waiting = await test.callbacks.awakeable(ctx, FOREVER)

        async def send() -> None:
            answers[number](waiting.token)

        await ctx.run_typed("send the mail", send)
        return await waiting.result()

    assert await test.run(handler, 0) == "yes"
    assert test.elapsed == 24 * HOUR
    with pytest.raises(TaskFailed, match="too expensive"):
        await test.run(handler, 1)


async def test_a_link_that_was_sent_is_completed_by_the_test(test: HandlerTest) -> None:
    """One with a form as well: a test need not cut the token out of it."""
    answers = [lambda link: test.complete(link, value=True), lambda link: test.fail(link, PROBLEM)]

    async def handler(ctx: restate.Context, number: int) -> bool:
        waiting = await test.callbacks.awakeable(ctx, TaskType("approve", dict, bool))

        async def send() -> None:
            answers[number]([waiting.form_url("Order it?", {"Yes": True}), waiting.url][number])

        await ctx.run_typed("send the mail", send)
        return await waiting.result()

    assert await test.run(handler, 0)
    with pytest.raises(TaskFailed, match="too expensive"):
        await test.run(handler, 1)


async def test_what_is_no_token_ends_the_test(test: HandlerTest) -> None:
    """In place of a dead letter, after which the handler waits until its deadline; the step is not tried again."""

    async def handler(ctx: restate.Context) -> str:
        waiting = await test.callbacks.awakeable(ctx, FOREVER)

        async def send() -> None:
            test.complete(waiting.token[:-1], "yes")

        await ctx.run_typed("send the mail", send)
        return await waiting.result()

    with pytest.raises(UnverifiedError, match="the tag"):
        await test.run(handler)


async def test_a_handler_whose_wait_for_a_future_is_cancelled_may_wait_again(test: HandlerTest) -> None:
    """The 409 of the invocation is no outcome of the task."""
    test.worker.on(PREPARE).completes("B3", after=MINUTE)

    async def handler(ctx: restate.Context) -> list[str]:
        handle = await test.callbacks.start(ctx, PREPARE, Order("soup"))
        with pytest.raises(TerminalError, match="cancelled"):
            await handle.future
        return [await handle.result(), await handle.future]

    assert await test.run(handler, cancel_after=timedelta(seconds=1)) == ["B3", "B3"]


async def test_a_handler_whose_wait_for_a_future_is_cancelled_may_tell_the_workers(test: HandlerTest) -> None:
    """Restate tells the handler, who waits for the future by itself; the handler tells the workers."""
    test.worker.on(PREPARE).never_answers()

    async def handler(ctx: restate.Context) -> None:
        handle = await test.callbacks.start(ctx, PREPARE, Order("soup"))
        try:
            await handle.future
        except TerminalError:
            await handle.cancel()
            raise

    with pytest.raises(TerminalError, match="cancelled"):
        await test.run(handler, cancel_after=timedelta(seconds=1))
    assert [each.reason for each in test.cancels] == [CancelReason.CANCELLED]


def test_an_action_that_nobody_would_await_is_refused() -> None:
    """It would never run, and the test would pass without it."""

    async def action() -> None: ...

    with pytest.raises(TypeError, match="plain function"):
        HandlerTest().after(timedelta(minutes=1), action)  # type: ignore[arg-type]  # what a user may do
