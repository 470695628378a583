"""Which attempts have failed and are followed by another one, and when: from the order of a journal's entries. Pure.

    Notification: Signal   17: {"kallback":1,...,"status":"failed",...}     attempt 1 failed
    Command: Sleep         back off shop.pack q8Tzl0b2R6m1cV9x, until ...   attempt 2 is sent then

A pause names its task. In journals of earlier versions it names only type and attempt: there it belongs to the failure
right before it, and one without such a failure follows an attempt that reached its own timeout. That may be wrong where
another task of this type failed for good at the same time.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

_PAUSE: Final = re.compile(
    r"back off ([A-Za-z0-9._-]{1,128})(?: ([A-Za-z0-9_-]{16}))?(?: attempt (\d{1,9}))?", re.ASCII
)
_RESULT: Final = re.compile(r'"Index":(\d{1,10})\}.*?"Success":\[([\d,]+)', re.ASCII)
_FAILED: Final = re.compile(rb'\{"kallback":1,"task":"[A-Za-z0-9_-]{16}","attempt":\d{1,9},"status":"failed",')
_LONGEST_BYTE: Final = 255


class Pause(NamedTuple):
    """The wait before the next attempt.

    Attributes:
        place: of its entry in the journal.
        until_ms: epoch milliseconds.
        task_id: None in journals of earlier versions.
    """

    place: int
    task_type: str
    attempt: int
    until_ms: int
    task_id: str | None = None


class SentAttempt(NamedTuple):
    """An attempt that was published.

    Attributes:
        signal: of its awakeable.
    """

    task_id: str
    task_type: str
    attempt: int
    signal: int


def pause_of(name: str, place: int, until_ms: int) -> Pause | None:
    """Read a timer; None if it is another one than that of a pause."""
    shape = _PAUSE.fullmatch(name)
    return None if shape is None else Pause(place, shape[1], int(shape[3] or 1), until_ms, shape[2])


def failed_signal(head: str) -> int | None:
    """The number of a signal, by the first characters of its entry; None if it is no failed attempt's."""
    shape = _RESULT.search(head)
    if shape is None:
        return None
    numbers = [int(each) for each in shape[2].split(",")[:-1]]  # the last one may be cut off
    if any(number > _LONGEST_BYTE for number in numbers):
        return None
    return int(shape[1]) if _FAILED.match(bytes(numbers)) else None


def next_attempts(
    attempts: Iterable[SentAttempt], signals: Mapping[int, int], failed: Iterable[int], pauses: Sequence[Pause]
) -> dict[int, int]:
    """When the attempt after a failed one is sent: epoch milliseconds, by the signal of the failed one.

    Args:
        attempts: all that were published, in their order.
        signals: those that came, each with its place in the journal.
        failed: those of them that were failures.
        pauses: all of the journal.
    """
    named = {(pause.task_id, pause.attempt): pause.until_ms for pause in pauses if pause.task_id is not None}
    groups, found = defaultdict[tuple[str, int], list[int]](list), dict[int, int]()
    for each in attempts:
        groups[each.task_type, each.attempt].append(each.signal)
        if (each.task_id, each.attempt) in named:
            found[each.signal] = named[each.task_id, each.attempt]
    return found | _by_order(groups, signals, frozenset(failed), [pause for pause in pauses if pause.task_id is None])


def _by_order(
    groups: Mapping[tuple[str, int], Sequence[int]],
    signals: Mapping[int, int],
    failures: frozenset[int],
    pauses: Iterable[Pause],
) -> dict[int, int]:
    """The same for pauses that do not name their tasks; the signals of attempts are given by type and number."""
    found, waits = dict[int, int](), defaultdict[tuple[str, int], list[Pause]](list)
    for pause in sorted(pauses):
        waits[pause.task_type, pause.attempt].append(pause)
    for key, own in waits.items():
        found |= _matched(groups.get(key, ()), signals, failures, own)
    return found


def _matched(
    attempts: Sequence[int], signals: Mapping[int, int], failures: frozenset[int], pauses: Sequence[Pause]
) -> dict[int, int]:
    """The same for attempts of one type and number."""
    came = sorted((signals[signal], signal) for signal in attempts if signal in signals and signal in failures)
    silent = [signal for signal in attempts if signal not in signals or signals[signal] > pauses[0].place]
    found, recent, next_came = dict[int, int](), list[int](), 0
    for pause in pauses:
        while next_came < len(came) and came[next_came][0] < pause.place:
            recent.append(came[next_came][1])
            next_came += 1
        if recent:
            found[recent.pop()] = pause.until_ms
            continue
        timed_out = next((each for each in silent if each not in found and _is_silent(each, signals, pause)), None)
        if timed_out is not None:
            found[timed_out] = pause.until_ms
    return found


def _is_silent(signal: int, signals: Mapping[int, int], pause: Pause) -> bool:
    return signals.get(signal, pause.place) >= pause.place
