import base64
import hmac
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from kallback.protocol import (
    Attempt,
    AwakeableId,
    InvalidKeyError,
    Keyring,
    TaskId,
    Token,
    Unverified,
    UnverifiedError,
    parse_awakeable_id,
    shorten,
    task_id_of,
)
from kallback.protocol.tokens import is_task_id

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


def make_awakeable(invocation: bytes, index: int) -> AwakeableId:
    """The canonical id of a signal."""
    raw = base64.urlsafe_b64encode(invocation + index.to_bytes(4, "big"))
    return parse_awakeable_id("sign_1" + raw.decode().rstrip("="))


tokens = st.builds(
    Token,
    task_type=st.text(ALPHABET + ".", min_size=1, max_size=128),
    task_id=st.binary(min_size=12, max_size=12).map(task_id_of),
    attempt=st.integers(1, 999_999).map(Attempt),
    awakeable_id=st.builds(make_awakeable, st.binary(min_size=24, max_size=24), st.integers(17, 2**32 - 1)),
    deadline_ms=st.integers(0, 10**15 - 1),
)


@given(tokens, st.text())
def test_a_signed_token_verifies_to_itself(keyring: Keyring, token: Token, audience: str) -> None:
    """For every token and audience, verifying undoes signing, within 512 bytes."""
    text = keyring.sign(token, audience)
    assert keyring.verify(text, audience) == token
    assert len(text.encode()) <= 512


def test_the_first_key_signs_and_all_verify(token: Token, audience: str) -> None:
    """Rotation: tokens of the older key stay good while it is in the ring."""
    old = Keyring({"k1": b"1" * 32})
    rotated = Keyring({"k2": b"2" * 32, "k1": b"1" * 32})
    assert rotated.verify(old.sign(token, audience), audience) == token
    assert rotated.sign(token, audience).startswith("kb1:k2:")


def test_a_keyring_of_each_key_signs_with_it(token: Token, audience: str) -> None:
    """In the order of the keys; whoever has only the older one still verifies something."""
    keys = {"new": os.urandom(32), "old": os.urandom(32)}
    signed = [each.sign(token, audience) for each in Keyring(keys).each()]
    assert [
        Keyring({name: key}).verify(text, audience) for (name, key), text in zip(keys.items(), signed, strict=True)
    ] == [
        token,
        token,
    ]


def test_a_bridge_without_the_new_key_says_so(keyring: Keyring, signed: str, audience: str) -> None:
    """The sentence tells the order of a rotation."""
    assert keyring.key_ids == ("k2", "k1")
    with pytest.raises(UnverifiedError, match="bridges must have a new key before"):
        Keyring({"k1": b"1" * 32}).verify(signed, audience)


def test_the_published_key_needs_insecure_mode(token: Token, keyring: Keyring, audience: str) -> None:
    """A lost variable must not open the bridge."""
    text = Keyring.insecure().sign(token, audience)
    with pytest.raises(UnverifiedError, match="--insecure") as caught:
        keyring.verify(text, audience)
    assert caught.value.reason == Unverified.UNKNOWN_KEY


def test_insecure_mode_verifies_both_and_signs_with_a_real_key(token: Token, audience: str) -> None:
    """Beside a real key, the published one only verifies."""
    ring = Keyring.parse("k1:" + "A" * 43, insecure=True)
    assert ring.verify(Keyring.insecure().sign(token, audience), audience) == token
    assert ring.sign(token, audience).startswith("kb1:k1:")


def test_insecure_mode_needs_no_key() -> None:
    """Alone, the published key signs as well."""
    assert Keyring.parse("", insecure=True).key_ids == ("dev",)


@pytest.mark.parametrize(
    "change",
    [{"task_type": "a:b"}, {"task_type": ""}, {"task_type": "a\n"}, {"task_id": TaskId("short")}, {"attempt": 0},
     {"attempt": 1_000_000}, {"awakeable_id": AwakeableId("sign_1")}, {"deadline_ms": -1}, {"deadline_ms": 10**15}],
)  # fmt: skip
def test_nothing_is_signed_that_would_not_verify(
    keyring: Keyring, token: Token, audience: str, change: dict[str, object]
) -> None:
    """A part that no token may have is a mistake of the caller."""
    with pytest.raises(ValueError, match="characters that no token may have"):
        keyring.sign(replace(token, **change), audience)


def test_a_tag_and_a_newline_cannot_be_moved_into_the_audience(keyring: Keyring, token: Token) -> None:
    """Claims hold no newline, so claims and audience cannot be split elsewhere."""
    with pytest.raises(UnverifiedError):
        keyring.verify(keyring.sign(token, "a\nb"), "b")


@pytest.mark.parametrize("size", [0, 31])
def test_short_keys_are_refused(size: int) -> None:
    """A key has at least 32 bytes; the error says how to make one."""
    with pytest.raises(InvalidKeyError, match="openssl rand"):
        Keyring({"k1": b"x" * size})


@given(st.dictionaries(st.text(ALPHABET, min_size=1, max_size=16), st.binary(min_size=32, max_size=80), min_size=1))
def test_any_keys_survive_the_variable(keys: dict[str, bytes]) -> None:
    """Base64 in either alphabet, with or without padding, reads back as the same keys."""
    keys.pop("dev", None)
    keys = keys or {"k": os.urandom(32)}
    standard = ",".join(f"{k}:{base64.b64encode(v).decode()}" for k, v in keys.items())
    url = " , ".join(f"{k}:{base64.urlsafe_b64encode(v).decode().rstrip('=')}" for k, v in keys.items())
    assert Keyring.parse(standard)._keys == Keyring.parse(url)._keys == keys


def test_a_task_id_is_sixteen_characters() -> None:
    """Twelve random bytes need no padding."""
    assert task_id_of(bytes(range(12))) == "AAECAwQFBgcICQoL"


@given(st.binary(min_size=12, max_size=12))
@example(b"\xf8" * 12)
def test_a_task_id_does_not_look_like_an_option(random_bytes: bytes) -> None:
    """People type it behind a command; of 64 ids one would begin with a dash."""
    assert not task_id_of(random_bytes).startswith("-")
    assert is_task_id(task_id_of(random_bytes))


@pytest.mark.parametrize("text", ["", "short", "q8Tzl0b2R6m1cV9x ", "q8Tzl0b2R6m1cV9é", "../../etc/passwd"])
def test_what_has_another_form_is_no_task_id(text: str) -> None:
    """Sixteen characters of base64url."""
    assert not is_task_id(text)


@pytest.mark.parametrize("size", [0, 11, 13])
def test_a_task_id_needs_twelve_bytes(size: int) -> None:
    """Other sizes would need padding, or be guessed."""
    with pytest.raises(ValueError, match="12 random bytes"):
        task_id_of(bytes(size))


def test_a_short_token_names_the_attempt_only(signed: str) -> None:
    """What may be logged: neither awakeable id nor tag."""
    assert shorten(signed) == "kb1:k2:restaurant.prepare:AAECAwQFBgcICQoL:3:…"


@pytest.mark.parametrize("text", ["hunter2", "", "kb1:", "sign_1abc"])
def test_what_is_no_token_becomes_its_length(text: str) -> None:
    """It may be a secret of someone else's."""
    assert shorten(text) == f"<{len(text)} characters>"


@given(st.binary(min_size=32, max_size=200), tokens, st.text())
def test_tags_are_the_standard_librarys_hmac(key: bytes, token: Token, audience: str) -> None:
    """The MAC whose hashes are begun once is HMAC-SHA256, for keys below, at and above the block size."""
    claims, tag = Keyring({"k1": key}).sign(token, audience).rsplit(":", 1)
    mac = hmac.digest(key, f"{claims}\n{audience}".encode(), "sha256")
    assert tag == base64.urlsafe_b64encode(mac[:16]).decode()[:22]


@given(tokens, st.integers(16, 17), st.text(ALPHABET + ":. é", min_size=1), st.integers(0, 120))
def test_check_and_verify_agree(keyring: Keyring, token: Token, signal: int, new: str, at: int) -> None:
    """What one returns as unverified, the other raises, with the same reason and sentence."""
    good = keyring.sign(replace(token, awakeable_id=_SIGNALS[signal]), "a")
    for text in (good, f"{good[:at]}{new}{good[at:]}"):
        found = keyring.check(text, "a")
        if isinstance(found, Token):
            assert keyring.verify(text, "a") == found
            continue
        with pytest.raises(UnverifiedError) as caught:
            keyring.verify(text, "a")
        assert (caught.value.reason, caught.value.detail) == (found.reason, found.detail)


_SIGNALS = {16: AwakeableId("sign_1" + "A" * 32 + "AAAAEA"), 17: AwakeableId("sign_1" + "A" * 32 + "AAAAEQ")}
