"""Which dead letters of unverified records are written whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kallback.kafka import LetterBudget, LetterForm
from kallback.settings import DeadLetterSettings

WHOLE, SUMMARY = LetterForm.WHOLE, LetterForm.SUMMARY


def budget(per_second: int = 2, bytes_per_hour: int = 10**9) -> LetterBudget:
    """A budget that begins at second 0."""
    return LetterBudget(DeadLetterSettings(per_second, bytes_per_hour), 0.0)


def test_ten_seconds_of_the_rate_are_written_at_once() -> None:
    """The rest of a burst is counted."""
    mine = budget(per_second=2)
    forms = [mine.decide("wrong-tag", 10, 0.0) for _ in range(25)]
    assert forms == [WHOLE] * 20 + [SUMMARY] * 5


def test_the_rate_refills_with_time() -> None:
    """Two a second, three seconds later: six more."""
    mine = budget(per_second=2)
    for _ in range(20):
        mine.decide("wrong-tag", 10, 0.0)
    assert [mine.decide("wrong-tag", 10, 3.0) for _ in range(7)] == [WHOLE] * 6 + [SUMMARY]


def test_a_flood_of_one_reason_leaves_the_other_reasons_alone() -> None:
    """A key that is missing stays visible record by record beside a flood of forged tokens."""
    mine = budget(per_second=1)
    for _ in range(1000):
        mine.decide("wrong-tag", 10, 0.0)
    assert mine.decide("unknown-key", 10, 0.0) is WHOLE


def test_half_of_the_bytes_of_an_hour_are_there_at_once() -> None:
    """So no hour, wherever it begins, has more than the whole."""
    mine = budget(per_second=100, bytes_per_hour=40_000)
    forms = [mine.decide("wrong-tag", 8_976, 0.0) for _ in range(3)]
    assert forms == [WHOLE, WHOLE, SUMMARY]
    assert mine.decide("no-token", 10_000, 1.0) is SUMMARY
    assert mine.decide("no-token", 10_000, 3600.0) is WHOLE


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5_000), st.floats(0, 600)), max_size=200),
    st.integers(1, 50),
)
def test_no_hour_exceeds_its_bytes(arrivals: list[tuple[str, int, float]], per_second: int) -> None:
    """Whatever comes, in whatever order and size."""
    limit = 100_000
    mine, now = budget(per_second, limit), 0.0
    written: list[tuple[float, int]] = []
    for reason, size, pause in arrivals:
        now += pause
        if mine.decide(reason, size, now) is WHOLE:
            written.append((now, size))
    for start, _ in written:
        assert sum(size for at, size in written if start <= at < start + 3600) <= limit


def test_summaries_use_the_bytes_of_the_hour() -> None:
    """They are many small letters: without a charge, nothing would bound them."""
    mine = budget(bytes_per_hour=20_000)
    for _ in range(6):
        assert not mine.is_used_up(0.0)
        mine.charge_summary(600, 0.0)
    assert mine.is_used_up(0.0)


def test_what_summaries_take_beyond_the_bytes_is_not_owed() -> None:
    """After a flood, whole letters are written again as soon as the bytes refill."""
    mine = budget(bytes_per_hour=14_400)
    for _ in range(1000):
        mine.charge_summary(10_000, 0.0)
    assert mine.decide("wrong-tag", 10, 0.0) is SUMMARY
    assert mine.decide("wrong-tag", 10, 600.0) is WHOLE
