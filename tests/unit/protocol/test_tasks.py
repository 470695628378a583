from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import Attempt, Convention, InvalidTaskError, TaskHeaders, TaskId

HEADERS = TaskHeaders("kb1:token", TaskId("AAECAwQFBgcICQoL"), Attempt(1), "restaurant.prepare", "kallback.results")
MONITORED = replace(
    HEADERS,
    deadline_ms=9,
    traceparent="tp",
    tracestate="ts",
    start_by_ms=7,
    progress_to="kallback.progress",
    heartbeat_every_ms=5,
    last_details=b"[1]",
)
texts = st.text(st.characters(codec="utf-8"))


@given(
    st.builds(
        TaskHeaders,
        token=texts,
        task_id=st.text(st.characters(codec="ascii"), max_size=16).map(TaskId),
        attempt=st.integers(1, 10**15 - 1).map(Attempt),
        task_type=texts,
        reply_to=texts,
        deadline_ms=st.none() | st.integers(1, 10**15 - 1),
        traceparent=st.none() | texts,
        tracestate=st.none() | texts,
        start_by_ms=st.none() | st.integers(1, 10**15 - 1),
        progress_to=st.none() | texts,
        heartbeat_every_ms=st.none() | st.integers(1, 10**15 - 1),
        hand_back=st.booleans(),
        retry_lost=st.booleans(),
        last_details=st.sampled_from([b"", b"null", b" [1.10] ", '{"next":"Käse"}'.encode()]),
    )
)
def test_headers_survive_the_wire(headers: TaskHeaders) -> None:
    """What is encoded is what is decoded."""
    assert TaskHeaders.decode(headers.encode()) == headers


def test_copies_of_an_attempt_are_identical() -> None:
    """Headers are always written in the same order."""
    assert replace(HEADERS).encode() == HEADERS.encode()


def test_no_deadline_means_no_header() -> None:
    """A caller that waits for ever sends no deadline, not a zero."""
    assert "kallback-deadline" not in dict(HEADERS.encode())


def test_a_framework_finds_the_token_and_the_topic() -> None:
    """Its headers come after ours, and the same attempt always has the same ones."""
    for_workers = replace(HEADERS, convention=Convention.FASTSTREAM)
    added = (("correlation_id", b"kb1:token"), ("reply_to", b"kallback.results"))
    assert for_workers.encode() == (*HEADERS.encode(), *added)
    event = dict(replace(HEADERS, convention=Convention.CLOUDEVENTS).encode())
    assert (event["ce_id"], event["ce_type"]) == (b"AAECAwQFBgcICQoL-1", b"restaurant.prepare")


def test_spring_finds_the_token_and_the_topic() -> None:
    """A Spring listener with @SendTo answers as it stands."""
    headers = dict(HEADERS.encode())
    assert (headers["kafka_correlationId"], headers["kafka_replyTopic"]) == (b"kb1:token", b"kallback.results")


def test_a_header_of_a_client_that_iterates_once_is_enough() -> None:
    """Headers may come as a generator."""
    assert TaskHeaders.decode(pair for pair in HEADERS.encode()) == HEADERS


@pytest.mark.parametrize(
    "text", ["0", "-1", "+1", "01", "1.0", "1e3", " 1", "1\n", "", "1_000", "²", "\uff11", "1" * 16]
)
@pytest.mark.parametrize(
    "name", ["kallback-attempt", "kallback-deadline", "kallback-start-by", "kallback-heartbeat-every"]
)
def test_numbers_are_written_in_one_way(name: str, text: str) -> None:
    """Attempt, times and interval are whole numbers from 1, in ASCII digits, at most 15 of them."""
    headers = [*(pair for pair in HEADERS.encode() if pair[0] != name), (name, text.encode())]
    with pytest.raises(InvalidTaskError, match=f"header {name} is not a whole number"):
        TaskHeaders.decode(headers)


def test_headers_of_long_tasks_have_their_places() -> None:
    """The order is part of the wire: copies are byte-identical, also those that another version of ours writes."""
    assert [name.removeprefix("kallback-") for name, _ in MONITORED.encode()] == [
        "version", "token", "task-id", "attempt", "type", "reply-to", "deadline", "start-by", "progress-to",
        "heartbeat-every", "content-type", "traceparent", "tracestate", "kafka_correlationId", "kafka_replyTopic",
        "last-details",
    ]  # fmt: skip


def test_a_task_that_asks_for_none_of_it_is_written_as_ever() -> None:
    """Types without these limits pay nothing, not even a header."""
    assert HEADERS.encode() == (
        ("kallback-version", b"1"),
        ("kallback-token", b"kb1:token"),
        ("kallback-task-id", b"AAECAwQFBgcICQoL"),
        ("kallback-attempt", b"1"),
        ("kallback-type", b"restaurant.prepare"),
        ("kallback-reply-to", b"kallback.results"),
        ("content-type", b"application/json"),
        ("kafka_correlationId", b"kb1:token"),
        ("kafka_replyTopic", b"kallback.results"),
    )


@pytest.mark.parametrize(
    "name", ["kallback-start-by", "kallback-progress-to", "kallback-heartbeat-every", "kallback-deadline"]
)
@pytest.mark.parametrize(("value", "sentence"), [(b"8", "stands more than once"), (b"\xff", "is not UTF-8")])
def test_garbled_limits_are_refused(name: str, value: bytes, sentence: str) -> None:
    """A worker that guessed at them would work when nobody waits."""
    kept = MONITORED.encode() if value == b"8" else [pair for pair in MONITORED.encode() if pair[0] != name]
    with pytest.raises(InvalidTaskError, match=f"header {name} {sentence}"):
        TaskHeaders.decode([*kept, (name, value)])


@pytest.mark.parametrize(
    "values",
    [
        [b""],
        [b" "],
        [b"{"],
        [b"NaN"],
        [b'"\xff"'],
        [b"1", b"2"],
        [b'"' + b"a" * 16_383 + b'"'],
        [b"[" * 501 + b"]" * 501],
    ],
    ids=["empty", "a space", "cut", "NaN", "no UTF-8", "different", "too large", "too deep"],
)
def test_bad_last_details_count_as_absent(values: list[bytes]) -> None:
    """They are only an aid: the work can be done without them."""
    headers = [*HEADERS.encode(), *(("kallback-last-details", value) for value in values)]
    assert TaskHeaders.decode(headers) == HEADERS
