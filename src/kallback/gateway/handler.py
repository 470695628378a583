"""Answers requests: admits a head, and writes the body to Kafka.

A request is admitted before its body is read, so that who has no token cannot send one. The body is then checked as the
bridge will check it, so that the client learns of a mistake while it can still correct it.

Order: requests are independent of each other. Cancellation of `answer`: the record may still be written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import msgspec

from kallback.gateway.first_answers import FirstAnswers
from kallback.gateway.options import GatewayOptions
from kallback.gateway.page import LINK_PAGE, answered_page, chosen, form_page, refusal_page
from kallback.gateway.rate_limit import RateLimit, client_of
from kallback.gateway.records import VerifiedRequest, record_of, verify_request
from kallback.gateway.requests import Action, GatewayRequest, LinkOpened, has_form, read_head
from kallback.gateway.responses import ACCEPTED, unverified
from kallback.gateway.stats import GatewayStats
from kallback.kafka import OutgoingRecord, Producer
from kallback.lifecycle import LogThrottle
from kallback.protocol import ConfigurationError, KafkaUnavailableError, RecordTooLargeError, UnverifiedError, shorten
from kallback.protocol.verification import Trust, is_late
from kallback.settings import Topics, named_log
from kallback.web import HttpHead, HttpResponse, RefusedRequestError, refused
from kallback.web.messages import JSON, too_large, unavailable

_log: Final = named_log("kallback.gateway")
_LARGE_BYTES: Final = 128 * 1024
"""Bodies beyond it are checked in a thread."""
UNKNOWN: Final = "unknown"


class RequestHandler:
    """Answers the requests of one gateway.

    Args:
        trust: what authenticates a request.
        topics: where records may go: results and progress of this environment.
        now: seconds since the epoch; deadlines are compared with it.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        producer: Producer,
        trust: Trust,
        topics: Topics,
        options: GatewayOptions,
        stats: GatewayStats,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._producer: Final = producer
        self._trust: Final = trust
        self._topics: Final = topics
        self._options: Final = options
        self._stats: Final = stats
        self._now: Final = now
        self._monotonic: Final = monotonic
        self._rate_limit: Final = RateLimit(options.requests_per_second, options.burst)
        self._first: Final = FirstAnswers()
        self._throttle: Final = LogThrottle(_log, monotonic)

    def admit(self, head: HttpHead, peer: str) -> VerifiedRequest | HttpResponse:
        """Decide on a request by its head.

        Args:
            head: of the request.
            peer: the address of the connection.

        Returns:
            what the body belongs to, or the answer to a request without one.

        Raises:
            RefusedRequestError: the request is refused; its body need not be read.
        """
        header = self._options.client_header
        client = client_of(peer, head.values(header.lower()) if header else [])
        if wait := self._rate_limit.acquire(client, self._monotonic()):
            detail = "there were too many requests from this address: send the next one later"
            error = refused("too-many-requests", HTTPStatus.TOO_MANY_REQUESTS, detail, retry_after=wait)
            raise _for_people(error) if has_form(head) else error
        request = read_head(head)
        if isinstance(request, LinkOpened):
            return self._page(request, client)
        try:
            return self._verified(request, client)
        except RefusedRequestError as error:
            raise _for_people(error) if request.form else error from None

    def _page(self, opened: LinkOpened, client: str) -> HttpResponse:
        """Return the page of a link: with buttons if it has a form of its token."""
        if not opened.form:
            return LINK_PAGE
        try:
            request = self._verified(GatewayRequest(Action.RESULT, opened.token, opened.form), client)
        except RefusedRequestError as error:
            raise _for_people(error) from None
        if request.form is None:
            return LINK_PAGE
        late = is_late(request.token, int(self._now() * 1000), 0)
        return form_page(request.form, first=self._first.of(request.text), is_late=late)

    def _verified(self, request: GatewayRequest, client: str) -> VerifiedRequest:
        grace_ms = self._options.late_grace * 1000
        try:
            return verify_request(request, self._trust, now_ms=self._now() * 1000, grace_ms=grace_ms)
        except UnverifiedError as error:
            self._throttle.warning(
                "a token is refused", kind=str(error.reason), token=shorten(request.token), client=client
            )
            raise unverified() from None

    async def answer(self, request: VerifiedRequest, body: bytes) -> HttpResponse:
        """Write a body to Kafka; return when Kafka has acknowledged it.

        Raises:
            RefusedRequestError: it is not written, or not known to be.
        """
        now_ms = int(self._now() * 1000)
        if request.form is None:
            await self._write(request, body, now_ms)
            return _accepted(request, now_ms)
        choice = chosen(request.form, body)
        await self._write(request, bytes(choice.value), now_ms)
        first = self._first.of(request.text)
        self._first.remember(request.text, choice.label)
        return answered_page(choice.label, first=first, is_late=is_late(request.token, now_ms, 0))

    async def _write(self, request: VerifiedRequest, body: bytes, now_ms: int) -> None:
        if len(body) > _LARGE_BYTES:
            record = await asyncio.to_thread(self._record, request, body, now_ms)
        else:
            record = self._record(request, body, now_ms)
        began = self._monotonic()
        await self._send(record)
        self._stats.latency_of(request.action).observe(self._monotonic() - began)

    def refuse(self, request: VerifiedRequest | None, response: HttpResponse) -> HttpResponse:
        """Return a refusal as it is, a problem object; of a button that was pressed, as a page."""
        return response if request is None or request.form is None else refusal_page(response)

    def count(self, request: VerifiedRequest | None, response: HttpResponse) -> None:
        """Count an answer."""
        action = UNKNOWN if request is None else request.action.value
        self._stats.requests[action, response.outcome] += 1

    def _record(self, request: VerifiedRequest, body: bytes, now_ms: int) -> OutgoingRecord:
        return record_of(request, body, self._topics, now_ms=now_ms, task_types=self._options.task_types)

    async def _send(self, record: OutgoingRecord) -> None:
        try:
            await self._producer.send(record)
        except RecordTooLargeError:
            raise too_large("Kafka takes no record of this size") from None
        except KafkaUnavailableError as error:
            self._throttle.warning("Kafka did not acknowledge a record", kind="kafka-unavailable", detail=str(error))
            raise unavailable(
                "kafka-unavailable", "the answer is not known to be written: send it again, twice does no harm"
            ) from None
        except ConfigurationError as error:  # a topic or a permission is missing: the operator's to mend
            self._throttle.error("records cannot be written", kind="not-writable", detail=str(error))
            raise unavailable("not-writable", "the gateway cannot write now, and its log says why") from None


class AcceptedAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a client gets when Kafka has its record.

    Attributes:
        type: of the task, whose id is `task`: the names that all JSON of kallback has for them.
        detail: what else it should know; left out if there is nothing.
    """

    status: str
    type: str
    task: str
    attempt: int
    detail: str = ""


_AFTER_DEADLINE: Final = (
    "the deadline of the task has passed: the answer counts only if the handler has not gone on without it"
)


def _for_people(error: RefusedRequestError) -> RefusedRequestError:
    """The same refusal as a page, for those who see a form."""
    return RefusedRequestError(refusal_page(error.response))


def _accepted(request: VerifiedRequest, now_ms: int) -> HttpResponse:
    token = request.token
    detail = _AFTER_DEADLINE if is_late(token, now_ms, 0) else ""
    answer = AcceptedAnswer(ACCEPTED, token.task_type, token.task_id, token.attempt, detail)
    body = msgspec.json.encode(answer) + b"\n"
    return HttpResponse(ACCEPTED, HTTPStatus.ACCEPTED, body, JSON)
