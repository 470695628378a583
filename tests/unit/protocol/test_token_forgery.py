"""No changed token verifies: the whole neighbourhood of a good one is tried, then random changes."""

import string
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kallback.protocol import Keyring, Token, UnverifiedError

ALPHABET = string.ascii_letters + string.digits + string.punctuation + " \n\r\t\0"
INVISIBLE = ("\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u0301", "\ud800")


def verifies(keyring: Keyring, text: str, audience: str) -> bool:
    """Whether a text passes; any error but the documented one fails the test."""
    try:
        keyring.verify(text, audience)
    except UnverifiedError:
        return False
    return True


def look_alikes(character: str) -> Iterator[str]:
    """Characters that Unicode folds to this one, such as full-width and mathematical letters."""
    for code in (*range(0x2070, 0x2190), *range(0x2460, 0x2500), *range(0x1D400, 0x1D800), *range(0xFE30, 0xFFF0)):
        if unicodedata.normalize("NFKC", chr(code)) == character:
            yield chr(code)


def test_no_replaced_character_verifies(keyring: Keyring, signed: str, audience: str) -> None:
    """Every position, every other printable character and every look-alike."""
    folds = {c: [*look_alikes(c)] for c in set(signed)}
    forged = (
        signed[:i] + other + signed[i + 1 :]
        for i, now in enumerate(signed)
        for other in (*ALPHABET, *folds[now])
        if other != now
    )
    assert [text for text in forged if verifies(keyring, text, audience)] == []


def test_no_inserted_character_verifies(keyring: Keyring, signed: str, audience: str) -> None:
    """Every position, the end included, every printable and every invisible character."""
    forged = (signed[:i] + new + signed[i:] for i in range(len(signed) + 1) for new in (*ALPHABET, *INVISIBLE))
    assert [text for text in forged if verifies(keyring, text, audience)] == []


def test_no_deletion_verifies(keyring: Keyring, signed: str, audience: str) -> None:
    """Every part that can be cut out, of every length."""
    size = len(signed)
    forged = (signed[:start] + signed[end:] for start in range(size) for end in range(start + 1, size + 1))
    assert [text for text in forged if verifies(keyring, text, audience)] == []


def test_no_swap_verifies(keyring: Keyring, signed: str, audience: str) -> None:
    """Every two characters exchanged, unless they are equal."""
    for i, left in enumerate(signed):
        for j in range(i + 1, len(signed)):
            if left != signed[j]:
                swapped = f"{signed[:i]}{signed[j]}{signed[i + 1 : j]}{left}{signed[j + 1 :]}"
                assert not verifies(keyring, swapped, audience)


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase, str.title])
def test_case_matters(keyring: Keyring, signed: str, audience: str, change: object) -> None:
    """A token in other capitals is another token."""
    assert callable(change)
    assert not verifies(keyring, change(signed), audience)


@pytest.mark.parametrize("tail", ["\n", "\r\n", "\0", " ", "=", "==", ":", "\u2028", "A", "\ud800"])
def test_nothing_may_follow_a_token(keyring: Keyring, signed: str, audience: str, tail: str) -> None:
    """Not even what a shell or a library adds by itself."""
    assert not verifies(keyring, signed + tail, audience)


@settings(max_examples=300)
@given(st.data())
def test_random_changes_never_verify(keyring: Keyring, signed: str, audience: str, data: st.DataObject) -> None:
    """Any stretch of a token replaced by any text."""
    start = data.draw(st.integers(0, len(signed)))
    end = data.draw(st.integers(start, len(signed)))
    new = data.draw(st.text(st.characters()) | st.text(string.ascii_letters + string.digits + "_-:."))
    assume(new != signed[start:end])
    forged = signed[:start] + new + signed[end:]
    assume(forged != signed)
    assert not verifies(keyring, forged, audience)


@given(st.text())
def test_a_token_is_good_for_one_audience_only(keyring: Keyring, token: Token, audience: str, other: str) -> None:
    """A token of another results topic never verifies."""
    assume(other != audience)
    assert not verifies(keyring, keyring.sign(token, other), audience)


@given(st.binary(min_size=32, max_size=100))
def test_another_key_with_the_same_id_never_verifies(keyring: Keyring, token: Token, audience: str, key: bytes) -> None:
    """Knowing the key's id is not knowing the key."""
    assume(key.rstrip(b"\0") != b"2" * 32)  # HMAC pads short keys with zeros
    assert not verifies(keyring, Keyring({"k2": key}).sign(token, audience), audience)
