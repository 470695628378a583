from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import Attempt, InvalidTaskError, TaskHeaders, TaskId

HEADERS = TaskHeaders("kb1:token", TaskId("AAECAwQFBgcICQoL"), Attempt(1), "restaurant.prepare", "kallback.results")
texts = st.text(st.characters(codec="utf-8"))


@given(
    st.builds(
        TaskHeaders,
        token=texts,
        task_id=texts.map(TaskId),
        attempt=st.integers(1, 10**15 - 1).map(Attempt),
        task_type=texts,
        reply_to=texts,
        deadline_ms=st.none() | st.integers(1, 10**15 - 1),
        traceparent=st.none() | texts,
        tracestate=st.none() | texts,
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
@pytest.mark.parametrize("name", ["kallback-attempt", "kallback-deadline"])
def test_numbers_are_written_in_one_way(name: str, text: str) -> None:
    """Attempt and deadline are whole numbers from 1, in ASCII digits, at most 15 of them."""
    headers = [*(pair for pair in HEADERS.encode() if pair[0] != name), (name, text.encode())]
    with pytest.raises(InvalidTaskError, match=f"header {name} is not a whole number"):
        TaskHeaders.decode(headers)
