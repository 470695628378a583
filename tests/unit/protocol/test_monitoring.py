import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import Attempt, Heard, Marks, Signal, TaskId, TaskProgress

times = st.integers(0, 10**15)
details = st.sampled_from([b"", b"null", b'{"price": 1.10}', b"123456789012345678901234567890", '"Käse 🧀"'.encode()])
raw = details.map(msgspec.Raw)
bodies = (
    st.builds(Heard, st.text(), st.sampled_from(Signal), times, times, raw, st.sampled_from(["", "0-5,8"]))
    | st.builds(Marks, st.integers(1, 1000), st.dictionaries(st.integers(0, 999), times))
    | st.builds(
        TaskProgress,
        st.text().map(TaskId),
        st.text(),
        st.integers(1, 999_999).map(Attempt),
        times,
        st.none() | times,
        st.none() | times,
        raw,
    )
)
HEARD = {"token": "kb1:secret", "signal": "started", "at_ms": 1, "seen_ms": 2}


@given(bodies)
def test_bodies_survive_the_wire(body: Heard | Marks | TaskProgress) -> None:
    """What is encoded is JSON, and is what is decoded."""
    encoded = msgspec.json.encode(body)
    json.loads(encoded)
    assert msgspec.json.decode(encoded, type=type(body)) == body


@given(
    bodies, st.sampled_from(["x", "gone", "Token", "at"]), st.none() | st.integers() | st.text() | st.lists(st.text())
)
def test_unknown_members_are_ignored(body: Heard | Marks | TaskProgress, name: str, value: Any) -> None:
    """A newer bridge or service may say more."""
    more = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, msgspec.Raw])
    encoded = msgspec.json.encode({name: value, **more})
    assert msgspec.json.decode(encoded, type=type(body)) == body


@pytest.mark.parametrize(
    "body",
    [
        Heard("t", Signal.STARTED, 1, 2, msgspec.Raw(b"")),
        TaskProgress(TaskId("t"), "t", Attempt(1), 1, details=msgspec.Raw(b"")),
    ],
)
def test_empty_details_are_left_out(body: Heard | TaskProgress) -> None:
    """However the empty bytes came about: spliced in, they would be no JSON."""
    assert "details" not in json.loads(msgspec.json.encode(body))
    assert b"details" not in msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(body), type=type(body)))


def test_details_are_spliced_in_byte_for_byte() -> None:
    """Long integers and `1.10` arrive as the worker sent them."""
    body = Heard("t", Signal.HEARTBEAT, 1, 2, msgspec.Raw(b'{"a" : 1.10}'))
    assert msgspec.json.encode(body).endswith(b'"details":{"a" : 1.10}}')


def test_marks_are_named_by_their_partition() -> None:
    """JSON has texts as names of members; they are numbers again when read."""
    assert msgspec.json.encode(Marks(2, {1: 7})) == b'{"partitions":2,"marks":{"1":7}}'
    assert msgspec.json.decode(b'{"partitions":2,"marks":{"1":7}}', type=Marks).marks == {1: 7}


def test_what_is_heard_hides_the_token() -> None:
    """A service may log what it was told; details are the user's, their size is enough."""
    body = Heard("kb1:secret", Signal.HEARTBEAT, 1, 2, msgspec.Raw(b'"user"'))
    assert f"{body} {body!r} {[body]}" == " ".join(["Heard(heartbeat at 1, 6 bytes)"] * 2 + [f"[{body}]"])


@pytest.mark.parametrize("name", HEARD)
def test_a_body_without_a_member_is_refused(name: str) -> None:
    """And the error does not show the token."""
    body = json.dumps({key: value for key, value in HEARD.items() if key != name}).encode()
    with pytest.raises(msgspec.ValidationError, match=f"missing required field `{name}`") as caught:
        msgspec.json.decode(body, type=Heard)
    assert "secret" not in str(caught.value)
