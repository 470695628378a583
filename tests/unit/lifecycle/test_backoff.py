"""Backoff and `retry`: bounded delays with jitter, and one loop that tries again."""

import asyncio

import pytest

from kallback.lifecycle import Backoff, ReplacementPace, retry

NO_WAIT = Backoff(first=0.0, longest=0.0)


def test_the_delay_doubles_up_to_the_limit() -> None:
    """With the largest jitter, each delay is nearly twice the one before."""
    backoff = Backoff(first=1.0, longest=5.0)
    assert [round(backoff.delay(failures, 0.999999)) for failures in (1, 2, 3, 4, 5000)] == [1, 2, 4, 5, 5]


def test_half_of_the_delay_is_jitter() -> None:
    """The smallest jitter halves the delay."""
    assert Backoff(first=1.0, longest=5.0).delay(1, 0.0) == 0.5


def test_jitter_is_random_by_default() -> None:
    """Many processes do not retry at the same moment."""
    backoff = Backoff(first=1.0, longest=1.0)
    delays = {backoff.delay(1) for _ in range(50)}
    assert len(delays) > 1
    assert all(0.5 <= delay < 1.0 for delay in delays)


class Flaky:
    """Fails some times, then answers."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    async def __call__(self) -> str:
        """Fail or answer."""
        if self.left:
            self.left -= 1
            raise ConnectionError("no answer")
        return "answer"


async def test_retry_returns_the_first_answer() -> None:
    """Failures of the named kind are tried again, and each is told."""
    told = list[tuple[str, float]]()
    answer = await retry(
        Flaky(2), NO_WAIT, errors=ConnectionError, on_failure=lambda error, delay: told.append((str(error), delay))
    )
    assert (answer, told) == ("answer", [("no answer", 0.0), ("no answer", 0.0)])


async def test_retry_passes_other_errors_on() -> None:
    """What another try cannot cure is raised at once."""
    with pytest.raises(ConnectionError):
        await retry(Flaky(1), NO_WAIT, errors=ValueError)


async def test_on_failure_can_give_up() -> None:
    """An error that `on_failure` raises ends the loop."""

    def give_up(error: Exception, _delay: float) -> None:
        raise TimeoutError from error

    with pytest.raises(TimeoutError):
        await retry(Flaky(1), NO_WAIT, errors=ConnectionError, on_failure=give_up)


async def test_retry_can_be_cancelled_while_it_waits() -> None:
    """A stop does not wait for the backoff."""
    waits = asyncio.Event()
    task = asyncio.create_task(
        retry(Flaky(1), Backoff(60, 60), errors=ConnectionError, on_failure=lambda _error, _delay: waits.set())
    )
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_the_first_replacement_is_made_at_once() -> None:
    """Whatever failed worked until then."""
    pace = ReplacementPace(Backoff(1.0, 8.0))
    assert pace.delay(now=5.0) == 0


def test_replacements_that_fail_like_the_former_one_come_slower() -> None:
    """A record that stops each consumer made a worker join its group 98 times a second."""
    pace = ReplacementPace(Backoff(1.0, 8.0))
    delays = [pace.delay(0.0, jitter=0.999)]
    for now in range(5):
        pace.started(now)
        delays.append(pace.delay(now + 0.1, jitter=0.999))
    assert [round(each) for each in delays] == [0, 1, 2, 4, 8, 8]


def test_a_replacement_that_lasts_is_forgiven() -> None:
    """Its failure is another one."""
    pace = ReplacementPace(Backoff(1.0, 8.0), lasting=60.0)
    pace.delay(0.0)
    pace.started(0.0)
    pace.delay(1.0)
    pace.started(1.0)
    assert pace.delay(62.0) == 0
