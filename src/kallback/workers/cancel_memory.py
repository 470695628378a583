"""Cancels that are remembered until their tasks come, and the refusal of forged ones.

A cancel can overtake its task, and only the task's header tells whether the cancel is authentic. Until then every
cancel is a candidate, so the memory is bounded against a flood of forged ones:

- `kept` cancels in all. The task that was cancelled longest ago is forgotten first: a real cancel is forgotten before
  its task comes only if `kept` others come in between.
- `CANDIDATES` cancels of one task: the first half and the latest half of those that came. A real one is dropped only
  if half as many forged ones for the same task id came before it, and half as many after it.

When the task comes, those that do not prove to be authentic are refused and forgotten. A forgotten cancel means that
work may be done in vain.
"""

from __future__ import annotations

import dataclasses
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from kallback.lifecycle import LogThrottle
from kallback.protocol.controls import Cancel, CancelProof, CancelReason
from kallback.protocol.tokens import Attempt, TaskId

_PACKED: Final = struct.Struct("<qqB")
_REASONS: Final[tuple[CancelReason, ...]] = tuple(CancelReason)
CANDIDATES: Final = 8
"""Cancels of one task that are remembered: a caller that retries sends few."""
_SENTENCES: Final = {
    CancelProof.NO_SECRET: "cancel refused: it has no secret, and its task has kallback-cancel-hash",
    CancelProof.WRONG_SECRET: "cancel refused: its secret is not that of the task",
}


class RefusedCancels:
    """Counts and logs cancels that do not come from the origin of their task."""

    def __init__(self, log: LogThrottle) -> None:
        self._log: Final = log
        self.counts: Final = Counter[str]({reason.value: 0 for reason in _SENTENCES})

    def add(self, cancel: Cancel, proof: CancelProof) -> None:
        """Count a cancel by what it lacks; log one in ten seconds."""
        self.counts[proof.value] += 1
        self._log.warning(_SENTENCES[proof], kind=proof.value, task_id=cancel.task_id, claims=cancel.reason.value)


class CancelMemory:
    """Cancels by task, bounded in number and age.

    Args:
        kept: cancels in all.
        age: seconds after which one is forgotten.
        clock: epoch seconds.
        on_refused: is given those that are not authentic.
    """

    def __init__(
        self,
        kept: int,
        age: float,
        clock: Callable[[], float],
        on_refused: Callable[[Cancel, CancelProof], None] = lambda _cancel, _proof: None,
    ) -> None:
        self._kept: Final = kept
        self._age_ms: Final = age * 1000
        self._clock: Final = clock
        self._on_refused: Final = on_refused
        self._cancels: Final = OrderedDict[TaskId, tuple[bytes, ...]]()  # encoded: a third of the memory
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def remember(self, cancel: Cancel) -> None:
        """Remember a cancel; of those with the same secret (or none) the widest is kept."""
        if self._is_old(cancel):
            return
        candidates = self._forget(cancel.task_id)
        self._put(cancel.task_id, _added(candidates, cancel))
        while self._count > self._kept or self._is_oldest_old():
            self._forget(next(iter(self._cancels)))

    def find(self, task_id: TaskId, attempt: Attempt, cancel_hash: str | None = None) -> Cancel | None:
        """The authentic cancel that covers an attempt, if there is one; refuse and forget those that only claim to."""
        candidates = self._decoded(task_id)
        covering = [each for each in candidates if each.covers(task_id, attempt) and not self._is_old(each)]
        authentic, refused = list[Cancel](), list[Cancel]()
        for cancel in covering:
            proof = cancel.proof(cancel_hash)
            if proof is CancelProof.AUTHENTIC:
                authentic.append(cancel)
            else:
                refused.append(cancel)
                self._on_refused(cancel, proof)
        if refused:
            self._forget(task_id)
            self._put(task_id, tuple(each for each in candidates if each not in refused))
        return authentic[0] if authentic else None

    def _put(self, task_id: TaskId, candidates: tuple[Cancel, ...]) -> None:
        if candidates:
            self._cancels[task_id] = tuple(map(_packed, candidates))
            self._count += len(candidates)

    def _forget(self, task_id: TaskId) -> tuple[Cancel, ...]:
        candidates = self._decoded(task_id)
        self._cancels.pop(task_id, None)
        self._count -= len(candidates)
        return candidates

    def _decoded(self, task_id: TaskId) -> tuple[Cancel, ...]:
        return tuple(_unpacked(task_id, each) for each in self._cancels.get(task_id, ()))

    def _is_oldest_old(self) -> bool:
        return bool(self._cancels) and all(map(self._is_old, self._decoded(next(iter(self._cancels)))))

    def _is_old(self, cancel: Cancel) -> bool:
        return cancel.at_ms < self._clock() * 1000 - self._age_ms


def _packed(cancel: Cancel) -> bytes:
    """A cancel without its task id: time, attempt (0 for all), reason, and the secret with a mark that there is one."""
    secret = b"" if cancel.secret is None else b"=" + cancel.secret.encode()
    return _PACKED.pack(cancel.at_ms, cancel.attempt or 0, _REASONS.index(cancel.reason)) + secret


def _unpacked(task_id: TaskId, packed: bytes) -> Cancel:
    at_ms, attempt, reason = _PACKED.unpack_from(packed)
    secret = packed[_PACKED.size :]
    return Cancel(task_id, _REASONS[int(reason)], at_ms, attempt or None, secret[1:].decode() if secret else None)


def _added(candidates: tuple[Cancel, ...], new: Cancel) -> tuple[Cancel, ...]:
    for index, known in enumerate(candidates):
        if known.secret == new.secret:
            return (*candidates[:index], _widest(known, new), *candidates[index + 1 :])
    if len(candidates) < CANDIDATES:
        return (*candidates, new)
    first = CANDIDATES // 2
    return (*candidates[:first], *candidates[first + 1 :], new)


def _widest(known: Cancel, new: Cancel) -> Cancel:
    attempt = None if known.attempt is None or new.attempt is None else max(known.attempt, new.attempt)
    return dataclasses.replace(new, attempt=attempt, at_ms=max(known.at_ms, new.at_ms))
