"""What a token says, and which part of a malformed one is wrong."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import AwakeableId, Claims, Keyring, Token, UnverifiedError, locate_awakeable, read_claims


def test_claims_are_what_was_signed(signed: str, token: Token) -> None:
    """Without any key, everything but the proof can be read."""
    assert read_claims(signed) == Claims("k2", token)


@pytest.mark.parametrize(
    ("place", "part", "complaint"),
    [
        (1, "key!", "part 2 .* the key id"),
        (2, "a/b", "part 3 .* the task type"),
        (3, "short", "part 4 .* the task id"),
        (4, "0", "part 5 .* the attempt"),
        (5, "sign_2", "part 6 .* the awakeable id"),
        (6, "-1", "part 7 .* the deadline"),
        (7, "tag", "part 8 .* the tag"),
        (5, "sign_1" + "A" * 38, "signal index is below 17"),
    ],
)
def test_the_wrong_part_is_named(signed: str, place: int, part: str, complaint: str) -> None:
    """The sentence names the part and what belongs there."""
    parts = signed.split(":")
    parts[place] = part
    with pytest.raises(UnverifiedError, match=complaint):
        read_claims(":".join(parts))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text[4:], "does not begin with kb1:"),
        (lambda text: text.rpartition(":")[0], "7 parts .* a token has 8: was it cut"),
        (lambda text: text + "x" * 512, "512 at most"),
        (lambda text: text + "\n", "part 8"),
    ],
)
def test_the_wrong_shape_is_named(signed: str, change: Callable[[str], str], complaint: str) -> None:
    """Cut, too long, or something else altogether."""
    with pytest.raises(UnverifiedError, match=complaint):
        read_claims(change(signed))


@given(st.text(max_size=600).map(lambda text: "kb1:" + text))
def test_no_text_makes_it_raise_anything_else(text: str) -> None:
    """And what it raises quotes nothing of the text, which may be a secret."""
    with pytest.raises(UnverifiedError) as raised:
        read_claims(text)
    assert len(text) < 40 or text not in str(raised.value)


def test_whatever_verifies_can_be_read(keyring: Keyring, token: Token) -> None:
    """Both readers agree on what a token is."""
    text = keyring.sign(token, "a")
    assert read_claims(text).token == keyring.verify(text, "a")


def test_an_awakeable_is_located() -> None:
    """The invocation id as restate-server 1.7.12 wrote it for this awakeable, and its first user signal."""
    place = locate_awakeable(AwakeableId("sign_1Aud7hsqsnEFJWhywH06JmTmTJNSRLgflAAAAEQ"))
    assert place == ("inv_15DfzBx64z2q6YawybJmRANj0akDldwVLj", 17)
