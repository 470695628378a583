"""Text for people: no secrets, no control characters."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

import orjson
import pytest

from kallback.cli.formatting import moment, plain, printable_json, readable, redact, size
from kallback.durations import span
from kallback.protocol import Attempt, AwakeableId, Keyring, Token, task_id_of

AWAKEABLE = AwakeableId("sign_1Aud7hsqsnEFJWhywH06JmTmTJNSRLgflAAAAEQ")
KEY = hashlib.sha256(b"one").digest()
TOKEN = Keyring({"k1": KEY}).sign(Token("shop.pack", task_id_of(b"1" * 12), Attempt(1), AWAKEABLE), "a")
SHORT = "kb1:k1:shop.pack:MTExMTExMTExMTEx:1:…"


IN_QUERY = f"https://shop.example.com/?back=https%3A%2F%2Fanswers.example.com%2Fv1%2F{quote(TOKEN)}"


@pytest.mark.parametrize(
    "text", [TOKEN, f"a {TOKEN} b", f'"{TOKEN}"', f"{TOKEN}…", f"{SHORT}{TOKEN}", AWAKEABLE, IN_QUERY]
)
def test_no_secret_is_left(text: str) -> None:
    """Neither the signature nor the awakeable id, wherever the token is."""
    shown = redact(text)
    assert (TOKEN.rpartition(":")[2] in shown, AWAKEABLE in shown) == (False, False)


def test_a_token_is_shortened_to_what_identifies_it() -> None:
    """Key, type, task and attempt; shortening twice changes nothing."""
    assert redact(f"of {TOKEN}, late") == redact(redact(f"of {TOKEN}, late")) == f"of {SHORT}, late"


def test_control_characters_are_shown() -> None:
    """Line breaks stay where a text may have several lines."""
    assert plain("a\x1b[2J\n\u009b") == r"a\x1b[2J\n\x9b"
    assert plain("a\nb\x07", lines=True) == "a\nb\\x07"


def test_json_on_a_terminal_has_no_control_characters() -> None:
    """Those that JSON allows as they are become escapes: they are read as the same text."""
    value = {"detail": "a\x1b[2J\x7f\u009b31m\u202eü \U000e0001"}
    shown = printable_json(orjson.dumps(value))
    assert shown == r'{"detail":"a\u001b[2J\u007f\u009b31m\u202eü \udb40\udc01"}'
    assert orjson.loads(shown) == value


def test_bytes_are_readable() -> None:
    """Text, hexadecimal if it is not UTF-8, and cut if it is long; half a token is never shown."""
    assert readable(b"\xff\x00", longest=10) == "0xff00"
    assert readable(b"abcdef", longest=3) == "abc … (cut)"
    assert AWAKEABLE[:30] not in readable(TOKEN.encode(), longest=70)


@pytest.mark.parametrize(("secret", "short"), [(TOKEN, SHORT), (AWAKEABLE, "sign_1…")])
def test_a_secret_among_bytes_that_are_no_text_is_shortened(secret: str, short: str) -> None:
    """Its hexadecimal digits would be as good as the secret."""
    assert readable(b"\xff " + secret.encode(), longest=500) == rf"\xff {short}"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "less than 1 s"), (65_000, "1 min 5 s"), (-3_600_000, "1 h"), (90_061_000, "1 d 1 h")],
)
def test_a_duration_has_two_units(milliseconds: int, text: str) -> None:
    """The two largest ones."""
    assert span(milliseconds) == text


def test_times_and_sizes_of_any_number_are_shown() -> None:
    """A forged time is no time."""
    assert (moment(0), moment(10**18)) == ("1970-01-01 00:00:00Z", "1000000000000000000 ms")
    assert (size(7), size(2048), size(3 << 20)) == ("7 B", "2.0 KiB", "3.0 MiB")
