"""Questions that are asked in turn."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.lifecycle import InTurn
from kallback.protocol import KafkaUnavailableError


class Server:
    """Answers once it may."""

    def __init__(self, failures: int) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self._failures = failures

    async def answer(self) -> int:
        """Fail some times."""
        self.asked += 1
        asked = self.asked
        await self.may_answer.wait()
        if asked <= self._failures:
            raise KafkaUnavailableError("away")
        return asked


async def test_questions_that_wait_for_a_failing_one_fail_with_it() -> None:
    """Each of them would wait for its whole timeout; the next one is asked again."""
    server, questions = Server(failures=1), InTurn()
    waiting = [asyncio.create_task(questions.ask(server.answer)) for _ in range(3)]
    await asyncio.sleep(0)
    server.may_answer.set()
    said = await asyncio.gather(*waiting, return_exceptions=True)
    assert ([str(each) for each in said], server.asked) == (["away"] * 3, 1)
    assert await questions.ask(server.answer) == 2


async def test_one_question_is_asked_at_a_time() -> None:
    """Each has its own answer."""
    server, questions = Server(failures=0), InTurn()
    waiting = [asyncio.create_task(questions.ask(server.answer)) for _ in range(3)]
    await asyncio.sleep(0)
    assert server.asked == 1
    server.may_answer.set()
    assert await asyncio.gather(*waiting) == [1, 2, 3]


async def test_a_question_that_is_cancelled_leaves_its_turn_to_the_next_one() -> None:
    """A browser may go away."""
    server, questions = Server(failures=0), InTurn()
    first = asyncio.create_task(questions.ask(server.answer))
    second = asyncio.create_task(questions.ask(server.answer))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    server.may_answer.set()
    assert await second == 2


class AwayError(KafkaUnavailableError):
    """The failure of one question."""


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=12))
async def test_nobody_gets_the_answer_of_another_one(questions: list[tuple[bool, int]]) -> None:
    """Each question has its own answer or a failure, wherever others come in between, and at most one is asked."""
    in_turn, under_way, asked = InTurn(), 0, list[int]()

    async def ask(number: int, *, fails: bool) -> int:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        asked.append(number)
        await asyncio.sleep(0)
        under_way -= 1
        if fails:
            raise AwayError(number)
        return number

    waiting = list[asyncio.Task[int]]()
    for number, (fails, turns) in enumerate(questions):
        waiting.append(asyncio.create_task(in_turn.ask(partial(ask, number, fails=fails))))
        for _ in range(turns):
            await asyncio.sleep(0)
    for number, said in enumerate(await asyncio.gather(*waiting, return_exceptions=True)):
        if isinstance(said, AwayError):
            assert said.args[0] in asked
            assert (said.args[0] == number) == (number in asked)
        else:
            assert said == number
