"""Completes awakeables in batches, through `NotifierService` in a Restate service (see `kallback.sdk`).

One call carries as many completions as have arrived, at most `BATCH` and `BATCH_BYTES`, and its answer has a verdict
for each. Few calls are under way at one time: meanwhile the next batch gathers by itself, so no completion waits for a
batch to fill.

Ownership: each send is a `_Sending`, which posts one request at a time. A batch that Restate or the handler refuses as
a whole is halved, at once, until the item that causes it is alone. A batch that times out (a handler that is retried
for ever looks like that) comes back as `Retry`, and its items share smaller and smaller calls the next times, so that a
slow Restate does not get the same request nine times.

The service verifies each item again, so it needs the bridge's keys and audience: an item that it does not verify is a
wrong setting, and is never lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from kallback.bridge.completers.base import Answered
from kallback.bridge.completers.ingress import JSON, failed_reply
from kallback.bridge.completers.replies import TAKEN, Misconfigured, Rejected, Reply, Retry, read_reply
from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.requests import HttpAnswer, HttpResult
from kallback.bridge.results.completion import Completion
from kallback.protocol import PLAIN_NAMES, Completed, Outcome, Unverified
from kallback.settings import RestateSettings

BATCH: Final = 500
BATCH_BYTES: Final = 1024 * 1024
SENDS: Final = 4
"""Concurrent calls: Restate works on one while the bridge settles another."""
REQUESTS: Final = 64
"""Maximum number of requests of one send; what is open then is retried later."""
_COMPANY: Final = 16
"""Maximum number of items in a call after one that timed out; after another timeout each goes alone."""
_SUSPECTS: Final = 10_000
_ANSWER_LIMIT: Final = 1024 * 1024
_OK: Final = 200
_MISSING: Final = 404
_PASSING: Final = frozenset({502, 503, 504})
_INDIVISIBLE: Final = frozenset({400, 413})


class _Verdict(msgspec.Struct):
    outcome: str
    reason: str = ""
    detail: str = ""


_VERDICTS: Final = msgspec.json.Decoder(list[_Verdict])


class NotifierCompleter:
    """Sends batches to `NotifierService/ack_many`.

    Args:
        service: the name of `NotifierService` in this environment.
    """

    def __init__(self, settings: RestateSettings, service: str = PLAIN_NAMES.notifier) -> None:
        self.service = service
        self.http = RestateHttp(settings, connections=SENDS, body_limit=_ANSWER_LIMIT)
        self.url = settings.ingress_url
        self._company: dict[str, int] = {}

    @property
    def batch_limit(self) -> int:
        """Larger calls are not faster: with 100 to 500 items, each takes the same time."""
        return BATCH

    @property
    def send_limit(self) -> int:
        """Few, so that batches gather."""
        return SENDS

    async def start(self) -> None:
        """Start the connection pool."""
        await self.http.start()

    async def stop(self) -> None:
        """Close the connections."""
        await self.http.stop()

    def send(self, batch: Sequence[Completion], answered: Answered) -> None:
        """Post a batch."""
        _Sending(self, batch, answered).go_on()

    def company(self, completion: Completion) -> int:
        """Return how many items may share a call with this one, itself included; 0 if it timed out alone."""
        return self._company.get(completion.token, BATCH) if self._company else BATCH

    def timed_out(self, batch: Sequence[Completion]) -> None:
        """Remember that a call with these items timed out."""
        company = _COMPANY if len(batch) > _COMPANY else min(1, len(batch) - 1)
        if len(self._company) + len(batch) > _SUSPECTS:
            self._company.clear()  # a Restate that hangs, not an item
        self._company.update((each.token, company) for each in batch)

    def answered(self, batch: Sequence[Completion]) -> None:
        """Forget what is known of items that have a verdict."""
        if self._company:
            for each in batch:
                self._company.pop(each.token, None)


class _Sending:
    """One batch on its way, a request at a time."""

    __slots__ = ("_answered", "_batch", "_completer", "_items", "_open", "_order", "_replies", "_requests")

    def __init__(self, completer: NotifierCompleter, batch: Sequence[Completion], answered: Answered) -> None:
        self._completer = completer
        # Suspects come last: after a request that times out nothing more of its batch is posted.
        self._order = sorted(range(len(batch)), key=lambda at: -completer.company(batch[at]))
        self._batch = [batch[at] for at in self._order]
        self._items = [_item(each) for each in self._batch]
        self._answered = answered
        self._replies: list[Reply] = [_NOT_SENT] * len(batch)
        self._open = self._portions()
        self._requests = 0

    def go_on(self) -> None:
        """Post the next portion; if there is none, report the replies."""
        if not self._open or self._requests >= REQUESTS:
            replies = self._replies[:]
            for at, reply in zip(self._order, self._replies, strict=True):
                replies[at] = reply
            self._answered(replies)
            return
        self._requests += 1
        first, last = self._open.pop()
        body = b"[%b]" % b",".join(self._items[first:last])
        path = f"/{self._completer.service}/ack_many"
        self._completer.http.post_value(
            path,
            body,
            content_type=JSON,
            on_result=lambda result: self._received(result, first, last),
            returns_value=True,
        )

    def _portions(self) -> list[tuple[int, int]]:
        """Split the batch by bytes, and by the company that its items may have; the first portion is the last one."""
        portions: list[tuple[int, int]] = []
        first = size = 0
        allowed = BATCH
        for at, item in enumerate(self._items):
            company = self._completer.company(self._batch[at])
            if at > first and (size + len(item) > BATCH_BYTES or at - first >= min(allowed, company)):
                portions.append((first, at))
                first, size, allowed = at, 0, BATCH
            size += len(item)
            allowed = min(allowed, company)
        portions.append((first, len(self._items)))
        return portions[::-1]

    def _received(self, result: HttpResult, first: int, last: int) -> None:
        try:
            reply = self._read(result, first, last)
        except Exception as error:  # noqa: BLE001 - the connection that calls cannot handle it; the dispatcher retries
            reply = Retry("defect", f"an answer of NotifierService could not be read: {type(error).__name__}: {error}")
        if reply is not None and _about_one(result) and last - first > 1:
            middle = (first + last) // 2
            self._open += [(middle, last), (first, middle)]
        elif reply is not None:
            if isinstance(reply, Retry) and reply.label == "timeout":
                reply = msgspec.structs.replace(reply, shared=last - first > 1)
                self._completer.timed_out(self._batch[first:last])
            self._replies[first:last] = [reply] * (last - first)
            if not isinstance(result, HttpAnswer):
                self._open.clear()  # the other portions would fail, too
        self.go_on()

    def _read(self, result: HttpResult, first: int, last: int) -> Reply | None:
        """Return the one reply for a whole portion, or None if each item got its own."""
        if not isinstance(result, HttpAnswer):
            return failed_reply(result)
        if result.status != _OK:
            return self._refused(result)
        try:
            verdicts = _VERDICTS.decode(result.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Retry("defect", f"NotifierService does not answer a list of verdicts: {error}")
        if len(verdicts) != last - first:
            return Retry("defect", f"NotifierService answers {len(verdicts)} verdicts to {last - first} items")
        self._replies[first:last] = map(_reply, verdicts)
        self._completer.answered(self._batch[first:last])
        return None

    def _refused(self, answer: HttpAnswer) -> Reply:
        if answer.status == _MISSING:
            return Misconfigured(
                "404",
                f"{self._completer.url} has no {self._completer.service}: serve your services with "
                "callbacks.app([...]) and register them with Restate, or use --completer ingress",
            )
        return read_reply(answer.status, body=answer.body, retry_after=answer.retry_after, url=self._completer.url)


_NOT_SENT: Final = Retry("unsent", "other parts of its batch failed", shared=True)


def _about_one(result: HttpResult) -> bool:
    """Return whether the batch may have been refused because of one of its items."""
    if not isinstance(result, HttpAnswer):
        return False
    return result.status in _INDIVISIBLE or (result.status // 100 == 5 and result.status not in _PASSING)  # noqa: PLR2004 - 5xx


def _item(completion: Completion) -> bytes:
    answer = completion.answer
    if isinstance(answer, Completed):
        return b'{"token":"%b","status":"completed","value":%b}' % (completion.token.encode(), answer.value)
    return b'{"token":"%b","status":"failed","error":%b}' % (completion.token.encode(), answer.error)


def _reply(verdict: _Verdict) -> Reply:
    if verdict.outcome == Outcome.DELIVERED:
        return TAKEN
    said = f"{verdict.reason}: {verdict.detail}" if verdict.reason else verdict.detail
    if verdict.outcome in (Outcome.UNUSABLE, Outcome.REJECTED):
        return Rejected(f"NotifierService says: {said}", label=verdict.outcome)
    if verdict.outcome == Outcome.UNVERIFIED:
        if verdict.reason in (Unverified.INVALID_AWAKEABLE_ID, Unverified.RESERVED_SIGNAL):
            return Rejected(f"NotifierService says: {said}", label=verdict.outcome)
        return Misconfigured(
            "unverified",
            f"NotifierService does not verify a token that this bridge has verified ({said}): give it the bridge's "
            "KALLBACK_KEYS and audience, and allow bare awakeables there if the bridge does",
        )
    return Retry("defect", f"NotifierService gives the unknown verdict {verdict.outcome[:40]!r}")
