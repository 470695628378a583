"""Secrets never show: not in reprs, not in errors, not in what a traceback prints."""

import base64
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallback.protocol import (
    Attempt,
    BareAwakeable,
    ConfigurationError,
    Heard,
    InvalidProgressError,
    Keyring,
    Signal,
    TaskHeaders,
    TaskId,
    Token,
    UnverifiedError,
    progress_headers,
    read_progress,
    read_result,
)

KEY = bytes(range(100, 148))
SECRET = base64.b64encode(KEY).decode()


def shown(value: object) -> str:
    """Everything that a log, an f-string or a traceback may print of a value."""
    if isinstance(value, BaseException):
        return f"{value} {value!r} {''.join(traceback.format_exception(value))}"
    return f"{value} {value!r} {[value]}"


def leaks(text: str, secret: str, window: int = 8) -> bool:
    """Whether any stretch of the secret stands in a text."""
    return any(secret[i : i + window] in text for i in range(len(secret) - window + 1))


def test_a_keyring_shows_its_ids_only() -> None:
    """Ids are for people, keys are not."""
    ring = Keyring({"k1": KEY})
    assert repr(ring) == "Keyring(k1)"
    assert not leaks(shown(ring), SECRET)


def test_a_token_shows_neither_awakeable_nor_deadline(token: Token) -> None:
    """Type, task and attempt are enough to find it."""
    assert repr(token) == "Token(restaurant.prepare AAECAwQFBgcICQoL attempt 3)"
    assert not leaks(shown(token), token.awakeable_id.removeprefix("sign_1"))


def test_a_bare_awakeable_shows_nothing(token: Token) -> None:
    """Where bare ids are allowed, the id is the credential."""
    assert not leaks(shown(BareAwakeable(token.awakeable_id)), token.awakeable_id)


def test_task_headers_hide_the_token(signed: str) -> None:
    """A worker may log its task."""
    headers = TaskHeaders(signed, TaskId("AAECAwQFBgcICQoL"), Attempt(3), "restaurant.prepare", "kallback.results")
    assert "restaurant.prepare" in repr(headers)
    assert not leaks(shown(headers), signed[-66:])


@pytest.mark.parametrize("where", ["token", "correlation", "status", "body", "structured", "version"])
def test_a_result_record_hides_the_token_wherever_it_stands(signed: str, where: str) -> None:
    """Any part of a hostile record may hold the token."""
    structured = f'{{"kallback":{{"token":"{signed}","version":"{signed}"}},"data":"{signed}"}}'.encode()
    own = ("kallback-token", signed.encode())
    record = {
        "token": lambda: read_result(b"1", [own]),
        "correlation": lambda: read_result(b"1", [("kafka_correlationId", signed.encode())]),
        "status": lambda: read_result(b"1", [own, ("kallback-status", signed.encode())]),
        "body": lambda: read_result(structured, [own]),
        "structured": lambda: read_result(structured, []),
        "version": lambda: read_result(structured, []),
    }[where]()
    assert "AAECAwQFBgcICQoL" in repr(record)
    assert not leaks(shown(record), signed[-66:])


@pytest.mark.parametrize("name", ["kallback-signal", "kallback-at", "kallback-heartbeat-every", "value"])
def test_a_progress_record_hides_the_token_wherever_it_stands(signed: str, name: str) -> None:
    """Neither the record nor the error shows it."""
    headers = dict(progress_headers(signed, Signal.STARTED, 1, 1)) | {name: signed.encode()}
    record = read_progress(headers.get("value"), headers.items())
    assert "AAECAwQFBgcICQoL" in repr(record)
    assert not leaks(shown(record), signed[-66:])
    try:
        printed = shown(record.report())
    except InvalidProgressError as error:
        printed = shown(error)
    assert not leaks(printed, signed[-66:])


def test_what_the_bridge_heard_hides_the_token(signed: str) -> None:
    """The services that are told may log it."""
    assert not leaks(shown(Heard(signed, Signal.STARTED, 1, 2)), signed)


@settings(max_examples=300)
@given(st.data())
def test_a_broken_key_variable_never_shows_a_key(data: st.DataObject) -> None:
    """Whatever one stretch of KALLBACK_KEYS is replaced by, the error names places and ids only."""
    text = f"k2:{SECRET},k1:{SECRET[::-1]}"
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 40, len(text))))
    new = data.draw(st.text(max_size=5) | st.text("k12:,= \n", max_size=5))
    try:
        printed = shown(Keyring.parse(text[:start] + new + text[end:]))
    except ConfigurationError as error:
        printed = shown(error)
    assert not leaks(printed, SECRET)
    assert not leaks(printed, SECRET[::-1])


@settings(max_examples=300)
@given(st.data())
def test_a_refused_token_never_shows_itself(keyring: Keyring, signed: str, audience: str, data: st.DataObject) -> None:
    """Neither the awakeable id nor the tag stands in the error, for it may be one character from good."""
    position = data.draw(st.integers(0, len(signed)))
    new = data.draw(st.text(min_size=1, max_size=3))
    with pytest.raises(UnverifiedError) as caught:
        keyring.verify(signed[:position] + new + signed[position:], audience)
    assert not leaks(shown(caught.value), signed.split(":")[5])
    assert not leaks(shown(caught.value), signed.split(":")[7])


def test_a_token_for_another_topic_never_shows_itself(keyring: Keyring, signed: str) -> None:
    """It is good over there."""
    with pytest.raises(UnverifiedError) as caught:
        keyring.verify(signed, "other")
    assert not leaks(shown(caught.value), signed[-66:])
