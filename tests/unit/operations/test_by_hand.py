"""Answers by hand: what a worker or a caller would publish, with the operator's name."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from kallback.kafka import MemoryBroker, MemoryProducer, Position, Record
from kallback.operations import (
    ByHand,
    NoKeyError,
    NotAnswerableError,
    NoTaskRecordError,
    PendingTask,
    TaskRecord,
    WaitingInvocation,
    answer_headers,
    check_repeatable,
    missing_key,
    read_task_record,
)
from kallback.operations.answerable import check_current
from kallback.protocol import (
    Attempt,
    Cancel,
    ConfigurationError,
    Keyring,
    Problem,
    TaskHeaders,
    TaskId,
    locate_awakeable,
)
from kallback.protocol.awakeables import AwakeablePlace
from kallback.protocol.by_hand import Operator
from kallback.protocol.cancel_secrets import cancel_secret, hash_of
from kallback.settings import KeySettings, Settings

ID = TaskId("AAECAwQFBgcICQoL")
AT = Position("cook", 2, 40)
KEYRING = Keyring({"k1": b"1" * 32})
SECRET = cancel_secret(KEYRING, "k1", ID, Attempt(2)) or ""
HEADERS = TaskHeaders("kb1:x", ID, Attempt(2), "cook", "kallback.results", deadline_ms=1_000_000, hand_back=True)
HASHED = replace(HEADERS, cancel_hash=hash_of(SECRET))
SETTINGS = Settings(keys=KeySettings(keyring=KEYRING))
WAITING = WaitingInvocation("inv_1", "Shop/order", "Shop/order", "suspended", 0)
PLACE = AwakeablePlace("inv_1" + "0" * 33, 17)
APPROVAL = PendingTask(
    ID, "approve", Attempt(1), None, 0, 2_000_000, replace(WAITING, id=PLACE.invocation_id), signal=PLACE.signal_index
)
PENDING = PendingTask(ID, "cook", Attempt(2), AT, 0, None, WAITING)


@pytest.fixture
async def broker() -> MemoryBroker:
    """A broker with this environment's topics."""
    made = MemoryBroker()
    for topic in SETTINGS.topics.all():
        made.create_topic(topic)
    return made


@pytest.fixture
async def by_hand(broker: MemoryBroker) -> AsyncIterator[ByHand]:
    """What alice does, at second 1."""
    async with MemoryProducer(broker) as producer:
        yield ByHand(producer, SETTINGS, Operator("alice", "no gas"), clock=lambda: 1.0)


def only(broker: MemoryBroker) -> tuple[dict[str, bytes | None], Any]:
    """The headers and the value of the one result record."""
    [record] = broker.records("kallback.results")
    return dict(record.headers), json.loads(record.value or b"null")


async def test_a_result_is_published_as_a_worker_does(broker: MemoryBroker, by_hand: ByHand) -> None:
    """Token, status and key are a worker's; two headers say who did it and why."""
    await by_hand.complete(HEADERS, b'{"minutes": 12}')
    headers, value = only(broker)
    assert value == {"minutes": 12}
    assert (headers["kallback-token"], headers["kallback-status"]) == (b"kb1:x", b"completed")
    assert (headers["kallback-by"], headers["kallback-why"]) == (b"alice", b"no gas")


async def test_a_failure_is_the_attempts(broker: MemoryBroker, by_hand: ByHand) -> None:
    """The caller's retry policy decides what follows."""
    await by_hand.fail(HEADERS, Problem("OutOfStock", 422))
    headers, value = only(broker)
    assert (headers["kallback-status"], value["type"], value["status"]) == (b"failed", "OutOfStock", 422)


async def test_a_retry_hands_the_attempt_back(broker: MemoryBroker, by_hand: ByHand) -> None:
    """So it does not count, and the next one continues where this one was."""
    await by_hand.retry(replace(HEADERS, last_details=b'{"done":7}'))
    assert only(broker)[1]["type"] == "urn:kallback:handed-back"
    assert only(broker)[1]["last_details"] == '{"done":7}'


async def test_a_retry_that_the_caller_would_take_for_a_failure_is_refused(
    broker: MemoryBroker, by_hand: ByHand
) -> None:
    """Its type has neither a retry policy nor heartbeats."""
    with pytest.raises(NotAnswerableError, match="complete the task or fail it"):
        await by_hand.retry(replace(HEADERS, hand_back=False))
    assert not broker.records("kallback.results")


async def test_a_cancel_stops_the_worker_and_fails_the_task(broker: MemoryBroker, by_hand: ByHand) -> None:
    """The worker believes it, because it has the task's secret."""
    await by_hand.cancel(HASHED)
    [record] = broker.records("kallback.control")
    cancel = Cancel.decode(record.value)
    assert cancel.covers(ID, Attempt(2))
    assert cancel.proof(HASHED.cancel_hash) == "authentic"
    assert only(broker)[1] | {"retryable": False} == only(broker)[1]
    assert only(broker)[1]["detail"] == "cancelled by alice: no gas"


async def test_a_cancel_that_workers_would_not_believe_is_refused(broker: MemoryBroker, by_hand: ByHand) -> None:
    """Another key signed the task; nothing is sent, not even the failure."""
    with pytest.raises(NoKeyError, match="KALLBACK_KEYS"):
        await by_hand.cancel(replace(HEADERS, cancel_hash="x" * 43))
    assert not broker.records("kallback.results")


@pytest.mark.parametrize(
    ("headers", "value", "remedy"),
    [
        (HEADERS, b"{", "not JSON"),
        (replace(HEADERS, reply_to="other.results"), b"{}", "settings of the task's environment"),
        (replace(HEADERS, deadline_ms=1), b"{}", None),
        (replace(HEADERS, deadline_ms=-6_000), b"{}", "deadline"),
    ],
)
async def test_what_no_bridge_would_take_is_not_sent(
    broker: MemoryBroker, by_hand: ByHand, headers: TaskHeaders, value: bytes, remedy: str | None
) -> None:
    """Better an error at once than an outcome later."""
    if remedy is None:
        await by_hand.complete(headers, value)
        return
    with pytest.raises(NotAnswerableError, match=remedy):
        await by_hand.complete(headers, value)
    assert not broker.records("kallback.results")


async def test_the_record_of_a_task_is_checked() -> None:
    """A topic that was created anew has other records at the same offsets."""

    async def found(headers: TaskHeaders) -> TaskRecord:
        async def find(at: Position) -> Record | None:
            return Record(at.topic, at.partition, at.offset, 0, b"key", b"{}", headers.encode())

        return await read_task_record(find, PENDING)

    assert (await found(HEADERS)).headers.token == "kb1:x"
    for other in (replace(HEADERS, attempt=Attempt(1)), replace(HEADERS, task_id=TaskId("BAECAwQFBgcICQoL"))):
        with pytest.raises(NoTaskRecordError, match="created anew"):
            await found(other)
    with pytest.raises(NoTaskRecordError, match="retention"):
        await read_task_record(nothing, PENDING)


async def nothing(_at: Position) -> Record | None:
    """Kafka has no record."""
    return None


async def test_an_awakeable_is_answered_with_a_token_that_is_signed_here(broker: MemoryBroker, by_hand: ByHand) -> None:
    """It is the token that the handler handed out, for the environment's own results topic."""
    headers = await answer_headers(nothing, APPROVAL, SETTINGS)
    token = KEYRING.verify(headers.token, SETTINGS.keys.audience)
    assert (token.task_type, token.task_id, token.attempt, token.deadline_ms) == ("approve", ID, 1, 2_000_000)
    assert locate_awakeable(token.awakeable_id) == PLACE
    await by_hand.complete(headers, b"true")
    assert only(broker)[0]["kallback-by"] == b"alice"


async def test_an_awakeable_without_a_key_says_which_setting_is_missing() -> None:
    """And what can be done without one. A task of workers needs none."""
    for settings in (Settings(), Settings(keys=KeySettings())):
        with pytest.raises(ConfigurationError, match="KALLBACK_KEYS as its service has it, or answer with the token"):
            await answer_headers(nothing, APPROVAL, settings)
        assert missing_key(PENDING, settings) is None
    assert missing_key(APPROVAL, Settings(keys=KeySettings(insecure=True))) is None


async def test_a_cancel_of_an_awakeable_tells_no_worker(broker: MemoryBroker, by_hand: ByHand) -> None:
    """There is none; the handler fails for good."""
    await by_hand.cancel(await answer_headers(nothing, APPROVAL, SETTINGS), has_worker=False)
    assert not broker.records("kallback.control")
    assert only(broker)[1]["type"] == "urn:kallback:cancelled-by-hand"


def test_an_awakeable_has_no_other_attempt() -> None:
    """The sentence says what is possible."""
    with pytest.raises(NotAnswerableError, match=f"complete it, fail it, or .*kallback tasks link {ID}"):
        check_repeatable(APPROVAL)
    check_repeatable(PENDING)


async def test_an_awakeable_has_no_record() -> None:
    """Whoever looks for one is told why."""
    with pytest.raises(NoTaskRecordError, match="is an awakeable"):
        await read_task_record(nothing, APPROVAL)


@pytest.mark.parametrize("until_ms", [2**64 - 1, 10**15, 10**400])
async def test_a_pause_beyond_the_calendar_is_refused_as_any_other(until_ms: int) -> None:
    """The name of the timer can be any service's, and so can its time."""
    with pytest.raises(NotAnswerableError, match="sends attempt 3 after the year 9999: until then"):
        check_current(replace(PENDING, next_attempt_ms=until_ms), SETTINGS)
