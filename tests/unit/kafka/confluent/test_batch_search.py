"""The end of a damaged batch is found exactly, with few questions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kallback.kafka.confluent.batch_search import first_outside


@given(first=st.integers(0, 2**40), count=st.integers(1, 100_000))
def test_the_first_offset_behind_the_batch_is_found(first: int, count: int) -> None:
    """Whatever the batch's length, in twice its number of digits."""
    asked: list[int] = []

    def is_inside(offset: int) -> bool:
        asked.append(offset)
        return offset < first + count

    assert first_outside(first, is_inside) == first + count
    assert len(asked) <= 2 * count.bit_length() + 2
