import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kallback.protocol import (
    MAX_DETAILS_BYTES,
    InvalidProgressError,
    ProgressRecord,
    Report,
    Signal,
    Unverified,
    UnverifiedError,
    WireError,
    checked_details,
    progress_headers,
    read_progress,
)

GOOD = progress_headers("kb1:x", Signal.HEARTBEAT, 1, 2)
TASK_HEADERS = ["kallback-token", "kallback-signal", "kallback-at", "kallback-heartbeat-every", "kallback-status", "x"]
times = st.integers(0, 10**15 - 1)
details = st.just(b"") | st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
).map(lambda value: json.dumps(value).encode())


def report(value: bytes | None = b"", **changed: bytes | None) -> Report:
    """Read a good record with some headers changed; the names' underscores are hyphens on the wire."""
    found: dict[str, bytes | None] = {
        **dict(GOOD),
        **{f"kallback-{k.replace('_', '-')}": v for k, v in changed.items()},
    }
    return read_progress(value, found.items()).report()


@given(
    st.text(st.characters(codec="ascii")),
    st.sampled_from(Signal),
    times,
    st.none() | st.integers(1, 10**15 - 1),
    details,
)
def test_a_report_survives_the_wire(token: str, signal: Signal, at_ms: int, every_ms: int | None, value: bytes) -> None:
    """What is written is what is read, details byte for byte."""
    record = read_progress(value, progress_headers(token, signal, at_ms, every_ms))
    assert (record.token, record.report()) == (token, Report(signal, at_ms, value, every_ms))


def test_the_token_is_found_before_the_rest_is_looked_at() -> None:
    """Whoever reads it verifies first; a forger learns nothing of what else is wrong."""
    record = read_progress(b"\xff", [("kallback-token", b"kb1:x"), ("kallback-signal", b"\xff")])
    assert record == ProgressRecord("kb1:x", (b"\xff",), (), (), b"\xff")
    with pytest.raises(InvalidProgressError):
        record.report()


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], Unverified.NO_TOKEN),
        ([("kallback-token", None)], Unverified.NO_TOKEN),
        ([("Kallback-Token", b"kb1:x"), ("kafka_correlationId", b"kb1:x")], Unverified.NO_TOKEN),
        ([("kallback-token", b"kb1:x"), ("kallback-token", b"kb1:y")], Unverified.AMBIGUOUS_TOKEN),
        ([("kallback-token", b"kb1:\xc3\xa4")], Unverified.MALFORMED_TOKEN),
    ],
)
def test_a_record_without_one_token_is_unverified(headers: list[tuple[str, bytes | None]], reason: Unverified) -> None:
    """And the reason says which."""
    with pytest.raises(UnverifiedError) as caught:
        read_progress(b"", headers)
    assert caught.value.reason == reason


def test_headers_of_a_client_that_iterates_once_are_enough() -> None:
    """Headers may come as a generator."""
    assert read_progress(None, (pair for pair in GOOD)).report() == Report(Signal.HEARTBEAT, 1, b"", 2)


@pytest.mark.parametrize("every", [None, b"", b"0", b"-1", b"1.5", b"1\n", b"often", b"\xff", b"1" * 16, b"01"])
def test_a_garbled_interval_counts_as_absent(every: bytes | None) -> None:
    """It is only an echo; the heartbeat itself is good."""
    assert report(heartbeat_every=every).every_ms is None


def test_partitions_travel_as_text() -> None:
    """A worker says which partitions of the task's topic it reads."""
    told = progress_headers("kb1:x", Signal.STARTED, 1, 2, "0-5,8")
    assert read_progress(b"", told).report().partitions == "0-5,8"


@pytest.mark.parametrize("text", [None, b"", b"1,", b"-1", b"1-", b"a", b"01", b"1 2", b"\xff", b"0," * 600 + b"0"])
def test_garbled_partitions_count_as_absent(text: bytes | None) -> None:
    """They are only a hint; the heartbeat itself is good."""
    assert report(partitions=text).partitions == ""


def test_different_intervals_count_as_absent() -> None:
    """Nobody can tell which one is meant."""
    assert read_progress(b"", [*GOOD, ("kallback-heartbeat-every", b"3")]).report().every_ms is None


@pytest.mark.parametrize("at", [None, b"", b"-1", b"+1", b"1.5", b"1e3", b"1\n", b" 1", b"1" * 16, b"\xd9\xa1"])
def test_a_report_has_a_time(at: bytes | None) -> None:
    """In decimal, at most 15 digits."""
    with pytest.raises(InvalidProgressError, match="epoch milliseconds"):
        report(at=at)


@pytest.mark.parametrize("signal", [b"", b"STARTED", b"started ", b"finished", b"\xff", b"heartbeat\n"])
def test_a_signal_of_another_name_is_not_understood(signal: bytes) -> None:
    """A newer worker may send it; this reader drops it."""
    with pytest.raises(InvalidProgressError, match="neither 'started' nor 'heartbeat'"):
        report(signal=signal)


@pytest.mark.parametrize("name", ["kallback-signal", "kallback-at"])
def test_a_report_says_one_thing(name: str) -> None:
    """Two different values of a header make it useless."""
    with pytest.raises(InvalidProgressError, match="has one"):
        read_progress(b"", [*GOOD, (name, b"7")]).report()


def test_details_have_a_limit() -> None:
    """The last byte that fits, and the first that does not; the sentence says what to do."""
    largest = b'"' + b"a" * (MAX_DETAILS_BYTES - 2) + b'"'
    assert checked_details(largest) == largest
    with pytest.raises(InvalidProgressError, match=r"16385 bytes: 16384 are the most, send a reference"):
        checked_details(largest + b" ")


@pytest.mark.parametrize("value", [b" ", b"{", b"NaN", b"\xff", b'"\xff"', b"\x00", b"[" * 501 + b"]" * 501, b"1 2"])
def test_details_are_json_or_empty(value: bytes) -> None:
    """They end in Restate's state and in a header of the next attempt: nothing else may get there."""
    with pytest.raises(InvalidProgressError, match="JSON or empty"):
        report(value)


@pytest.mark.parametrize("value", [None, b""])
def test_no_details_are_empty(value: bytes | None) -> None:
    """A null value and an empty one say the same."""
    assert report(value).details == b""


def test_the_interval_is_written_only_if_known() -> None:
    """A task without the header has no echo."""
    assert "kallback-heartbeat-every" not in dict(progress_headers("t", Signal.STARTED, 1))


headers = st.lists(
    st.tuples(
        st.sampled_from(TASK_HEADERS) | st.text(st.characters()),
        st.none() | st.binary() | st.sampled_from([b"kb1:x", b"started", b"heartbeat", b"1", b"0"]),
    ),
    max_size=8,
)


@settings(max_examples=500)
@given(st.none() | st.binary() | details, headers | headers.map(lambda more: [*GOOD, *more]))
def test_any_bytes_in_any_header_end_in_a_report_or_a_wire_error(value: Any, pairs: list[tuple[str, Any]]) -> None:
    """Nothing else ever reaches whoever reads the topic, and the sentence can be logged."""
    try:
        found = read_progress(value, pairs).report()
    except WireError as error:
        str(error).encode()
    else:
        assert found.details == (value or b"")
        assert found.every_ms is None or found.every_ms >= 1


@settings(max_examples=300)
@given(st.sampled_from([name for name, _ in GOOD]), st.binary() | st.text().map(str.encode))
def test_any_bytes_in_one_header_of_a_good_record(name: str, data: bytes) -> None:
    """One header is noise, the others are good."""
    try:
        assert report(**{name.removeprefix("kallback-").replace("-", "_"): data}) is not None
    except WireError:
        assert name != "kallback-heartbeat-every"
