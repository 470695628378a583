"""No bytes whatever make a parser raise anything but its own, documented error."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallback.protocol import (
    Attempt,
    Cancel,
    Codec,
    DecodeError,
    Failed,
    Heard,
    InvalidAwakeableIdError,
    InvalidControlError,
    InvalidEnvelopeError,
    InvalidKeyError,
    InvalidProgressError,
    InvalidTaskError,
    Keyring,
    Marks,
    Problem,
    RetryPolicy,
    Signal,
    TaskHeaders,
    TaskProgress,
    Unusable,
    UnusableResultError,
    Unverified,
    UnverifiedError,
    check_json,
    checked_details,
    open_envelope,
    parse_awakeable_id,
    progress_headers,
    read_claims,
    read_progress,
    read_result,
    shorten,
)

BODY_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # msgspec's own; its reader catches them
RING = Keyring({"k1": b"1" * 32})


@dataclass
class Plain:
    """A dataclass that nests in itself."""

    text: str
    number: int
    inner: "dict[str, Plain] | None" = None


class Struct(msgspec.Struct):
    """A msgspec struct with a part that is not looked into."""

    text: str
    raw: msgspec.Raw = msgspec.Raw(b"")


class Typed(TypedDict):
    """A typed dict."""

    text: str
    number: float


class Model(pydantic.BaseModel):
    """A pydantic model."""

    text: str
    anything: Any = None


def text_of(data: bytes) -> str:
    """Text that may hold lone surrogates, as careless decoders make it."""
    return data.decode("utf-8", "surrogateescape")


def read_all(data: bytes, *, header: str = "") -> None:
    """Read a record up to its answer, and the problem if it has one."""
    record = read_result(data, [(header, data)] if header else [])
    shorten(record.token)
    repr(record)
    answer = record.answer()
    if isinstance(answer, Failed):
        answer.problem()


def read_envelope(data: bytes) -> None:
    """Open an envelope, and read the problem if it has one."""
    answer = open_envelope(data).answer
    if isinstance(answer, Failed):
        answer.problem()


def read_task(data: bytes) -> None:
    """Put the bytes into every header of a good task, in turn."""
    names = ["version", "token", "task-id", "attempt", "type", "reply-to", "deadline", "start-by", "heartbeat-every"]
    more = ["progress-to", "last-details"]
    good = {f"kallback-{name}": b"1" for name in names + more} | {"traceparent": b"1"}
    failures = 0
    for name in good:
        try:
            TaskHeaders.decode((good | {name: data}).items())
        except InvalidTaskError:
            failures += 1
    assert failures >= 1 or data.isdigit()


def read_report(data: bytes) -> None:
    """Put the bytes into every header of a good progress record, in turn, and into all at once; they are the value."""
    good = dict(progress_headers("kb1:x", Signal.HEARTBEAT, 1, 1))
    for changed in (*({name: data} for name in good), dict.fromkeys(good, data), {}):
        with suppress(InvalidProgressError, UnverifiedError):
            record = read_progress(data, (good | changed).items())
            repr(record)
            record.report()


def decode_body(declared: type[object], data: bytes) -> None:
    """Read what bridge and services tell each other; what was read can be shown and written again."""
    body = msgspec.json.decode(data, type=declared)
    repr(body)
    msgspec.json.encode(body)


PARSERS: dict[str, tuple[Callable[[bytes], object], tuple[type[Exception], ...]]] = {
    "structured result": (read_all, (UnverifiedError, UnusableResultError, DecodeError)),
    "result with a header": (lambda d: read_all(d, header="kallback-token"), (UnverifiedError, UnusableResultError)),
    "result with a correlation id": (
        lambda d: read_all(d, header="kafka_correlationId"),
        (UnverifiedError, UnusableResultError, DecodeError),
    ),
    "status": (
        lambda d: read_result(b"1", [("kallback-token", b"x"), ("kallback-status", d)]).answer(),
        (UnusableResultError, UnverifiedError),
    ),
    "completed": (lambda d: read_result(d, [("kallback-token", b"x")]).answer(), (UnusableResultError,)),
    "failed": (
        lambda d: read_result(d, [("kallback-token", b"x"), ("kallback-status", b"failed")]).answer(),
        (UnusableResultError,),
    ),
    "envelope": (read_envelope, (InvalidEnvelopeError, DecodeError)),
    "cancel": (Cancel.decode, (InvalidControlError,)),
    "task": (read_task, ()),
    "progress": (read_report, ()),
    "details": (checked_details, (InvalidProgressError,)),
    "retries": (lambda d: RetryPolicy(never={"x"}).after(Attempt(1), Problem.decode(d)), (DecodeError,)),
    **{
        f"body {declared.__name__}": (partial(decode_body, declared), BODY_ERRORS)
        for declared in (Heard, Marks, TaskProgress)
    },
    "problem": (Problem.decode, (DecodeError,)),
    "check_json": (check_json, (DecodeError,)),
    "awakeable id": (lambda d: parse_awakeable_id(text_of(d)), (InvalidAwakeableIdError,)),
    "token": (lambda d: RING.verify(text_of(d), "a"), (UnverifiedError,)),
    "claims": (lambda d: read_claims(text_of(d)), (UnverifiedError,)),
    "keys": (lambda d: Keyring.parse(text_of(d)), (InvalidKeyError,)),
    "shorten": (lambda d: shorten(text_of(d)), ()),
    **{
        f"codec {declared}": (Codec[Any](declared).decode, (DecodeError,))
        for declared in (Plain, Struct, Typed, Model, list[Plain], list[Model], dict[str, Any], Any, int, str, float)
    },
}


def assert_own_error_only(name: str, data: bytes) -> None:
    """Parse; a documented error with a known reason is fine, any other fails the test."""
    parse, documented = PARSERS[name]
    reason: str | None = None
    try:
        parse(data)
    except documented as error:
        str(error).encode()
        reason = error.reason if isinstance(error, UnverifiedError | UnusableResultError) else None
    assert reason in {None, *Unverified, *Unusable}


TOKEN = b"kb1:k1:t:AAECAwQFBgcICQoL:1:sign_1AAECAwQFBgcICQoLDA0ODxAREhMUFRYXAAAAEQ:0:AAAAAAAAAAAAAAAAAAAAAA"
VALID = [
    b'{"kallback":{"version":1,"token":"%b","status":"failed","error":{"status":422}},"data":[1]}' % TOKEN,
    b'{"kallback":1,"task":"AAECAwQFBgcICQoL","attempt":1,"status":"completed","value":{"text":"a","number":1}}',
    b'{"kallback":1,"task":"AAECAwQFBgcICQoL","attempt":1,"status":"failed","error":{"type":"x","retry_after":1}}',
    b'{"kallback":1,"action":"cancel","task":"AAECAwQFBgcICQoL","attempt":null,"reason":"cancelled","at":1}',
    b'{"token":"%b","signal":"heartbeat","at_ms":1,"seen_ms":2,"details":{"done":70}}' % TOKEN,
    b'{"partitions":3,"marks":{"0":1767222000000,"2":1767222000000}}',
    b'{"task_id":"AAECAwQFBgcICQoL","task_type":"t","attempt":1,"dispatched_ms":1,"started_ms":2,"details":[1.10]}',
    b'{"type":"x","status":503,"retryable":null,"retry_after":1e300,"exception":["x",1]}',
    b'{"text":"a","number":1,"inner":{"b":{"text":"\\ud83e\\uddc0","number":1.5}}}',
    TOKEN,
    TOKEN.split(b":")[5],
    b"k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA,k2:AAAA",
]
DEEP = 10_000
ATOMS = {
    "nothing": b"",
    "a number": b"1",
    "broken UTF-8": b'"\xff\xfe"',
    "half a UTF-8 sequence": b'"\xf0\x9f\xa7"',
    "an overlong slash": b'"\xc0\xaf"',
    "a surrogate as bytes": b'"\xed\xa0\x80"',
    "an escaped high surrogate": b'"\\ud83e"',
    "an escaped low surrogate": b'"\\uddc0"',
    "zero": b'"\x00"',
    "a huge integer": b"1" * 5000,
    "a long integer": b"1" * 309,
    "a tiny float": b"1e-999",
    "a huge float": b"-1e999",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "lists at the limit of parsers": b"[" * 1010 + b"]" * 1010,
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and open": b"[" * DEEP,
    "deep inner members": b'{"text":"a","number":1,"inner":{"x":' * DEEP,
    "many members": b"{" + b",".join(b'"%d":1' % i for i in range(5000)) + b"}",
    "equal members": b'{"a":1,"a":2}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a":1}'.encode("utf-16"),
}
PLACES = {
    "alone": b"%b",
    "as token": b'{"kallback":{"token":%b},"data":1}',
    "as status": b'{"kallback":{"token":"x","status":%b},"data":1}',
    "as version": b'{"kallback":{"token":"x","version":%b},"data":1}',
    "as data": b'{"kallback":{"token":"x"},"data":%b}',
    "as error": b'{"kallback":{"token":"x","status":"failed","error":%b}}',
    "as marker": b'{"kallback":%b,"action":"cancel","task":"t","reason":"cancelled","at":1}',
    "as attempt": b'{"kallback":1,"task":"t","attempt":%b,"status":"completed","value":1}',
    "as value": b'{"kallback":1,"task":"t","attempt":1,"status":"completed","value":%b}',
    "as envelope's error": b'{"kallback":1,"task":"t","attempt":1,"status":"failed","error":%b}',
    "as problem's member": b'{"retry_after":%b,"status":1}',
    "as unknown member": b'{"x":%b,"text":"a","number":1}',
    "as details": b'{"token":"t","signal":"started","at_ms":1,"seen_ms":1,"details":%b}',
    "as marks": b'{"partitions":1,"marks":%b}',
    "as exception": b'{"exception":%b}',
    "as typed member": b'{"text":%b,"number":1}',
}


@pytest.mark.parametrize("atom", ATOMS)
@pytest.mark.parametrize("place", PLACES)
def test_hand_made_bytes_raise_the_documented_error_only(place: str, atom: str) -> None:
    """The classics, alone and in every place of every record."""
    for name in PARSERS:
        assert_own_error_only(name, PLACES[place] % ATOMS[atom])


@settings(max_examples=300)
@given(st.binary() | st.text().map(str.encode))
def test_random_bytes_raise_the_documented_error_only(data: bytes) -> None:
    """Noise, and text that is noise."""
    for name in PARSERS:
        assert_own_error_only(name, data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "text", "kallback"]), inner),
    max_leaves=10,
)
members = st.sampled_from(
    ["kallback", "token", "version", "status", "error", "data", "task", "attempt", "value", "action", "reason", "at",
     "type", "detail", "retry_after", "text", "number", "inner"]
)  # fmt: skip
likely = st.sampled_from([1, "completed", "failed", "cancel", "cancelled", "kb1:x", 422, None]) | json_values
documents = st.dictionaries(members, likely | st.dictionaries(members, likely))


@settings(max_examples=500)
@given(json_values | documents)
def test_random_json_raises_the_documented_error_only(document: Any) -> None:
    """Right names with wrong values; NaN and lone surrogates as Python writes them."""
    data = json.dumps(document).encode()
    for name in PARSERS:
        assert_own_error_only(name, data)


@settings(max_examples=500)
@given(st.data())
def test_mutated_records_raise_the_documented_error_only(data: st.DataObject) -> None:
    """A good record with stretches cut, doubled or overwritten."""
    record = data.draw(st.sampled_from(VALID))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(record)))
        end = data.draw(st.integers(start, len(record)))
        new = data.draw(st.binary(max_size=4) | st.just(record[start:end] * 2) | st.sampled_from([b'"', b"{", b"null"]))
        record = record[:start] + new + record[end:]
    for name in PARSERS:
        assert_own_error_only(name, record)


headers = st.lists(
    st.tuples(
        st.sampled_from(["kallback-token", "kafka_correlationId", "kallback-status", "x"]) | st.text(st.characters()),
        st.none() | st.binary() | st.sampled_from([TOKEN, b"kb1:", b"sign_1", b"failed", b"completed"]),
    ),
    max_size=6,
)


@settings(max_examples=300)
@given(st.none() | st.binary() | st.sampled_from(VALID), headers)
def test_random_headers_end_in_a_verdict(value: bytes | None, pairs: list[tuple[str, bytes | None]]) -> None:
    """Any value with any headers is an answer, or has a reason why not."""
    reason: str | None = None
    try:
        read_result(value, pairs).answer()
    except (UnverifiedError, UnusableResultError) as error:
        reason = error.reason
    assert reason in {None, *Unverified, *Unusable}
