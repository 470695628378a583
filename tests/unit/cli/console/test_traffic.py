"""Figures of the charts: rates between samples, and the lag of the bridges that run."""

from __future__ import annotations

import asyncio

from kallback.cli.console.traffic import Traffic, TrafficSample, lag_of, lags, rates
from kallback.kafka import TopicGroup
from kallback.protocol import KafkaUnavailableError


def sample(at_s: int, results: int, lag: int | None = None) -> TrafficSample:
    """What there was at a second."""
    return TrafficSample(at_s * 1000, results, 0, lag)


def test_a_rate_is_what_came_between_two_samples() -> None:
    """Per second; a topic that was created anew gives no negative rate."""
    found = rates([sample(0, 100), sample(10, 130), sample(20, 5)], lambda each: each.results)
    assert found == [(10_000, 3.0), (20_000, 0.0)]


def test_samples_at_the_same_time_give_no_rate() -> None:
    """A clock may be set back."""
    assert rates([sample(9, 1), sample(9, 2), sample(8, 3)], lambda each: each.results) == []


def test_a_lag_that_is_not_known_is_left_out() -> None:
    """Before a bridge has ever read."""
    assert lags([sample(0, 0), sample(1, 0, 7)]) == [(1000, 7.0)]


def test_the_lag_is_that_of_groups_with_members() -> None:
    """An abandoned group lags more and more; where all are, the lag counts all the same."""
    running, abandoned = TopicGroup("a", 1, 0, {}, 5), TopicGroup("b", 0, 4, {}, 900)
    assert (lag_of([running, abandoned]), lag_of([abandoned]), lag_of([])) == (5, 900, None)


async def test_a_sample_that_cannot_be_taken_is_left_out() -> None:
    """The next one is taken."""
    taken, failures = asyncio.Event(), [KafkaUnavailableError("no broker")]

    async def read() -> TrafficSample:
        if failures:
            raise failures.pop()
        taken.set()
        return sample(1, 2)

    traffic = Traffic(read, interval=0)
    task = asyncio.create_task(traffic.run())
    await taken.wait()
    await asyncio.sleep(0)
    task.cancel()
    assert traffic.samples[0] == sample(1, 2)
