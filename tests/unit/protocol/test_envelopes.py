import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import Attempt, Completed, Envelope, Failed, InvalidEnvelopeError, TaskId, open_envelope, seal

TASK = TaskId("AAECAwQFBgcICQoL")
HEAD = b'{"kallback":1,"task":"AAECAwQFBgcICQoL","attempt":3,"status":"%b","%b":%b}'
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)


@given(json_values, st.sampled_from([None, 0, 3]), st.booleans())
def test_a_value_is_spliced_in_byte_for_byte(value: Any, indent: int | None, ascii_only: bool) -> None:  # noqa: FBT001 - drawn
    """The envelope holds the worker's bytes, and gives the same bytes back."""
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    sealed = seal(TASK, Attempt(3), Completed(body))
    assert sealed == HEAD % (b"completed", b"value", body)
    assert open_envelope(sealed) == Envelope(TASK, Attempt(3), Completed(body))


@given(st.dictionaries(st.text(), json_values, max_size=5), st.sampled_from([None, 2]))
def test_an_error_is_spliced_in_byte_for_byte(error: dict[str, Any], indent: int | None) -> None:
    """Failures keep their bytes as well."""
    body = json.dumps(error, indent=indent).encode()
    sealed = seal(TASK, Attempt(3), Failed(body))
    assert sealed == HEAD % (b"failed", b"error", body)
    assert open_envelope(sealed).answer == Failed(body)


def test_a_missing_body_is_null() -> None:
    """An envelope without value or error is read as null."""
    head = b'{"kallback":1,"task":"t","attempt":1,"status":'
    assert open_envelope(head + b'"completed"}').answer == Completed(b"null")
    assert open_envelope(head + b'"failed"}').answer == Failed(b"null")


def test_a_plain_value_is_no_envelope() -> None:
    """The error says who may complete this awakeable."""
    with pytest.raises(InvalidEnvelopeError, match="through the bridge"):
        open_envelope(b'{"minutes":12}')


def test_a_value_that_is_nested_too_deep_is_told_apart() -> None:
    """It is an envelope, so the sentence must not say that it is none."""
    deep = Completed(b"[" * 10_000 + b"]" * 10_000)
    with pytest.raises(InvalidEnvelopeError, match="nested too deep"):
        open_envelope(seal(TASK, Attempt(1), deep))
