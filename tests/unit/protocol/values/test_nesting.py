"""How deep JSON is nested."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol.values import nesting
from kallback.protocol.values.nesting import is_nested_deeper

_JSON = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(st.sampled_from('[]{}"\\\\ab\n'), max_size=12)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    """The depth of a parsed value."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(_JSON, st.integers(0, 6))
def test_the_depth_is_that_of_the_parsed_value(value: Any, limit: int) -> None:
    """Brackets in strings do not count, escaped quotes end none."""
    assert is_nested_deeper(json.dumps(value).encode(), limit) == (depth_of(value) > limit)


@given(_JSON, st.integers(0, 6), st.integers(1, 40))
def test_the_depth_goes_on_over_slices(value: Any, limit: int, slice_bytes: int) -> None:
    """Wherever one ends, and however long a string is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nesting, "_SLICE_BYTES", slice_bytes)
        assert is_nested_deeper(json.dumps(value).encode(), limit) == (depth_of(value) > limit)


def test_a_string_that_is_longer_than_a_slice_is_passed_over_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its brackets do not count."""
    monkeypatch.setattr(nesting, "_SLICE_BYTES", 4)
    assert not is_nested_deeper(b'["[[[[[[[["]', 1)


@given(st.binary(max_size=100))
def test_no_bytes_raise(data: bytes) -> None:
    """Also what is no JSON."""
    is_nested_deeper(data, 0)
