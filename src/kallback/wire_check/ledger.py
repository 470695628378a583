"""The tasks of one run: makes their records, and finds for each answer the task that it belongs to.

Does no I/O and has no clock. Tokens are signed with a key of this run alone. What comes back is as hostile as any
result: it is verified before it is looked at.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from kallback.kafka import Headers, OutgoingRecord, Record
from kallback.protocol import (
    Attempt,
    AwakeableId,
    Cancel,
    CancelReason,
    InvalidProgressError,
    Keyring,
    TaskHeaders,
    TaskId,
    Token,
    UnusableResultError,
    Unverified,
    UnverifiedError,
    parse_awakeable_id,
    read_progress,
)
from kallback.protocol.cancel_secrets import cancel_secret, hash_of, last_of_chain
from kallback.protocol.verification import Trust, UnverifiedResult, check_result
from kallback.wire_check.observed import Observed, SeenAnswer, SeenProgress, UnusableAnswer
from kallback.wire_check.options import WireCheckOptions
from kallback.wire_check.steps import SendTask

_INVOCATION_BYTES: Final = 24
_FIRST_USER_SIGNAL: Final = b"\x00\x00\x00\x11"
_MOST_STRAYS: Final = 20
_KEY_ID_CHARACTERS: Final = 6


@dataclass(frozen=True, slots=True)
class _Owner:
    observed: Observed
    name: str


class CheckLedger:
    """Knows the tasks of a run by their tokens.

    Args:
        options: of the run.
        key: 32 random bytes, for the tokens of this run alone.
    """

    def __init__(self, options: WireCheckOptions, key: bytes) -> None:
        self._options: Final = options
        # Another run has another id, so that its answers are told from altered ones.
        self._key_id: Final = f"check-{key.hex()[:_KEY_ID_CHARACTERS]}"
        self._keyring: Final = Keyring({self._key_id: key})
        self._trust: Final = Trust(self._keyring, options.topics.results, conventions=options.conventions)
        self._owners: dict[Token, _Owner] = {}

    def make_task(
        self, step: SendTask, task_id: TaskId, observed: Observed, *, now_ms: int, key: bytes
    ) -> OutgoingRecord:
        """Make the record of a task.

        Args:
            step: what it is like.
            task_id: new, or that of an earlier attempt.
            observed: what takes its answers.
            now_ms: epoch milliseconds.
            key: of the record, unless it has one of its own.
        """
        attempt, deadline_ms = Attempt(step.attempt), now_ms + int(step.deadline_s * 1000)
        token = Token(self._options.task_type, task_id, attempt, _awakeable(task_id, attempt), deadline_ms)
        self._owners[token] = _Owner(observed, step.name)
        topics = self._options.topics
        headers = TaskHeaders(
            self._keyring.sign(token, topics.results),
            task_id,
            attempt,
            self._options.task_type,
            topics.results,
            deadline_ms=deadline_ms,
            start_by_ms=None if step.start_by_s is None else now_ms + int(step.start_by_s * 1000),
            progress_to=topics.progress if step.monitored else None,
            heartbeat_every_ms=self._options.heartbeat_every_ms if step.monitored else None,
            cancel_hash=hash_of(self._secret(task_id, attempt)),
            hand_back=step.hand_back,
            convention=self._options.convention,
        )
        record_key = task_id.encode() if step.own_key else key
        return OutgoingRecord(topics.tasks, step.value, record_key, _changed(headers.encode(), step.changed))

    def cancel_of(self, task_id: TaskId, now_ms: int, *, forged: bool) -> OutgoingRecord:
        """Make a cancel of all attempts of a task.

        Args:
            task_id: of the task, which may be made later.
            now_ms: epoch milliseconds.
            forged: the secret has the right shape and proves nothing.
        """
        secret = hash_of("forged") if forged else self._secret(task_id, last_of_chain(Attempt(1)))
        cancel = Cancel(task_id, CancelReason.CANCELLED, now_ms, secret=secret)
        return OutgoingRecord(self._options.topics.control, cancel.encode(), task_id.encode())

    def _secret(self, task_id: TaskId, attempt: Attempt) -> str:
        secret = cancel_secret(self._keyring, self._key_id, task_id, attempt)
        assert secret is not None  # noqa: S101 - the key is in the keyring
        return secret

    def take_result(self, record: Record, current: Observed, at: float) -> None:
        """Take a record from the reply topic.

        Args:
            record: as it was read.
            current: the check that runs, which gets what belongs to no task.
            at: seconds of a monotonic clock.
        """
        found = check_result(record.value, record.headers, self._trust)
        if isinstance(found, UnverifiedResult):
            if found.reason != Unverified.UNKNOWN_KEY:
                _add_stray(current, found.detail)
            return
        owner = self._owners.get(found.target) if isinstance(found.target, Token) else None
        if owner is None:
            return
        try:
            answer = SeenAnswer(found.result.answer(self._options.task_type), at, record.timestamp_ms)
        except UnusableResultError as error:
            answer = SeenAnswer(UnusableAnswer(str(error.reason), error.detail), at, record.timestamp_ms)
        owner.observed.answers[owner.name].append(answer)

    def take_progress(self, record: Record, current: Observed, at: float) -> None:
        """Take a record from the progress topic; see `take_result`."""
        try:
            read = read_progress(record.value, record.headers)
            token = self._keyring.verify(read.token, self._trust.audience)
        except UnverifiedError as error:
            if error.reason != Unverified.UNKNOWN_KEY:
                _add_stray(current, f"a progress record: {error.detail}")
            return
        owner = self._owners.get(token)
        if owner is None:
            return
        try:
            seen = SeenProgress(read.report(), "", at, record.timestamp_ms)
        except InvalidProgressError as error:
            seen = SeenProgress(None, str(error), at, record.timestamp_ms)
        owner.observed.progress[owner.name].append(seen)


def _awakeable(task_id: TaskId, attempt: Attempt) -> AwakeableId:
    """An id of the right shape, which no handler waits for."""
    invocation = hashlib.sha256(f"{task_id} {attempt}".encode()).digest()[:_INVOCATION_BYTES]
    return parse_awakeable_id(f"sign_1{base64.urlsafe_b64encode(invocation + _FIRST_USER_SIGNAL).decode().rstrip('=')}")


def _changed(headers: Headers, changed: Headers) -> Headers:
    replaced = {name for name, _ in changed}
    return (*(each for each in headers if each[0] not in replaced), *changed)


def _add_stray(observed: Observed, detail: str) -> None:
    if len(observed.strays) < _MOST_STRAYS:
        observed.strays.append(detail)
