import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import InvalidAwakeableIdError, Unverified, locate_awakeable, parse_awakeable_id
from kallback.protocol.awakeables import AwakeablePlace, awakeable_at

INVOCATION = bytes(range(24))


def awakeable(index: int) -> str:
    """The canonical id of a signal of one invocation."""
    raw = INVOCATION + index.to_bytes(4, "big")
    return "sign_1" + base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("index", [17, 18, 2**31, 2**32 - 1])
def test_user_signals_are_accepted_as_they_stand(index: int) -> None:
    """Every signal index from 17 belongs to users."""
    assert parse_awakeable_id(awakeable(index)) == awakeable(index)


@pytest.mark.parametrize("index", range(17))
def test_reserved_signals_are_refused(index: int) -> None:
    """Signals below 17 are Restate's own; posting to index 1 would cancel the invocation."""
    with pytest.raises(InvalidAwakeableIdError) as caught:
        parse_awakeable_id(awakeable(index))
    assert caught.value.reason == Unverified.RESERVED_SIGNAL


@pytest.mark.parametrize("last", [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef" if c != "Q"])
def test_only_the_canonical_form_is_accepted(last: str) -> None:
    """Unused bits of the last character must be zero: an id has one text only."""
    with pytest.raises(InvalidAwakeableIdError):
        parse_awakeable_id(awakeable(17)[:-1] + last)


@pytest.mark.parametrize(
    "text",
    ["", "sign_1", awakeable(17)[:-1], awakeable(17) + "A", awakeable(17) + "\n", " " + awakeable(17),
     awakeable(17) + "=", "SIGN_1" + awakeable(17)[6:], "prom_1" + awakeable(17)[6:], "sign_1" + "+" * 38],
)  # fmt: skip
def test_text_of_another_shape_is_refused(text: str) -> None:
    """An awakeable id is sign_1 and 38 base64url characters, and nothing around it."""
    with pytest.raises(InvalidAwakeableIdError) as caught:
        parse_awakeable_id(text)
    assert caught.value.reason == Unverified.INVALID_AWAKEABLE_ID


@given(st.binary(min_size=24, max_size=24), st.integers(17, 2**32 - 1))
def test_every_id_that_restate_may_make_is_accepted(invocation: bytes, index: int) -> None:
    """Any invocation id with any user signal is an awakeable id."""
    text = "sign_1" + base64.urlsafe_b64encode(invocation + index.to_bytes(4, "big")).decode().rstrip("=")
    assert parse_awakeable_id(text) == text


@given(st.binary(min_size=24, max_size=24), st.integers(17, 2**32 - 1))
def test_an_awakeable_tells_where_it_lives(invocation: bytes, index: int) -> None:
    """An invocation id is inv_1, partition key and UUID as little-endian numbers in base62, 11 and 22 digits wide."""
    text = "sign_1" + base64.urlsafe_b64encode(invocation + index.to_bytes(4, "big")).decode().rstrip("=")
    place = locate_awakeable(parse_awakeable_id(text))
    digits = [
        (string.digits + string.ascii_lowercase + string.ascii_uppercase).index(c) for c in place.invocation_id[5:]
    ]
    numbers = [sum(d * 62**i for i, d in enumerate(reversed(part))) for part in (digits[:11], digits[11:])]
    assert (place.invocation_id[:5], len(digits), place.signal_index) == ("inv_1", 33, index)
    assert numbers == [int.from_bytes(invocation[:8], "little"), int.from_bytes(invocation[8:], "little")]


@given(invocation=st.binary(min_size=24, max_size=24), index=st.integers(min_value=17, max_value=2**32 - 1))
def test_a_place_tells_its_awakeable(invocation: bytes, index: int) -> None:
    """The way there and back."""
    text = "sign_1" + base64.urlsafe_b64encode(invocation + index.to_bytes(4, "big")).decode().rstrip("=")
    assert awakeable_at(locate_awakeable(parse_awakeable_id(text))) == text


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (AwakeablePlace("inv_1" + "0" * 33, 1), "reserved-signal"),
        (AwakeablePlace("inv_1" + "0" * 33, 2**32), "invalid-awakeable-id"),
        (AwakeablePlace("inv_1" + "Z" * 33, 17), "invalid-awakeable-id"),
        (AwakeablePlace("inv_1" + "0" * 32, 17), "invalid-awakeable-id"),
        (AwakeablePlace("inv_1" + "-" * 33, 17), "invalid-awakeable-id"),
    ],
)
def test_a_place_without_an_awakeable_is_refused(place: AwakeablePlace, reason: str) -> None:
    """No invocation id, a number that is too large, or a signal of Restate's own: 1 would cancel the invocation."""
    with pytest.raises(InvalidAwakeableIdError) as refused:
        awakeable_at(place)
    assert refused.value.reason == reason
