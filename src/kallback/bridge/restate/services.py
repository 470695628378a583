"""Asks the Restate services that a bridge calls whether they are its own: whether they verify its tokens.

Several environments can share a Restate. Messages to a service of another environment are accepted by Restate and then
refused by the service, without a word to the sender. So each service is sent what changes nothing there, and answers: a
heartbeat of a task that does not exist, or a result for an awakeable that does not exist.

While a key is rotated, bridges know keys that services do not know yet. So a service is the bridge's own if it verifies
a token of any of the bridge's keys.

A question to a service that is not there waits in Restate until the service is back. So each has an idempotency key:
whoever asks the same within some minutes, with the same keys, waits for the same invocation. A later question has
another one, and another task, because Restate may pause what waits for long, and lets nothing else of its task pass.
kallback's services keep nothing of a question that was answered.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

import msgspec

from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.requests import HttpAnswer, HttpResult
from kallback.bridge.restate.value_codec import VARIABLE, CodecFailedError
from kallback.protocol import (
    Attempt,
    AwakeableId,
    Heard,
    Keyring,
    Outcome,
    ServiceNames,
    Signal,
    TaskId,
    Token,
    task_id_of,
)
from kallback.protocol.tokens import TASK_ID_BYTES
from kallback.protocol.values.bounded_reading import read_json
from kallback.protocol.values.codecs import MAX_NESTING
from kallback.settings import RestateSettings

_TIMEOUT_S: Final = 5.0
_JSON: Final = "application/json"
_OK: Final = frozenset({200, 202, 204})
_REFUSED: Final = 400
_TASK_TYPE: Final = "kallback.service-check"
_INVOCATION_ID_BYTES: Final = 24
_SIGNAL: Final = (17).to_bytes(4, "big")
_SHOWN: Final = 200
_SAME_QUESTION_S: Final = 600
QUESTION: Final = "kallback-check-"
"""How the idempotency keys of questions begin."""


class ServiceState(Enum):
    """What is known of a service."""

    OWN = auto()
    """It verifies this bridge's tokens."""
    INCOMPLETE = auto()
    """It verifies this bridge's tokens, and Restate does not know a service that it calls."""
    FOREIGN = auto()
    """It verifies none of them."""
    MISSING = auto()
    """Restate does not know it."""
    UNREADABLE = auto()
    """It answers, and what is sent or answered cannot be read: another journal value codec, or the page of a proxy."""
    UNKNOWN = auto()
    """No answer of the service, or one that says nothing about it."""
    UNREACHABLE = auto()
    """No answer of Restate."""
    NOT_RESTATES = auto()
    """An answer that is not Restate's: the page of a proxy, or of another server."""
    DENIED = auto()
    """Restate, or what is in front of it, wants a token."""


class ServiceAnswer(NamedTuple):
    """What one service answered.

    Attributes:
        service: its name.
        detail: a sentence that explains the state, for people.
        takes_progress: whether it is the environment's `TaskMonitor`.
        unknown_keys: ids of our keys that it does not know: those before the first one that it knows.
        waiting: the idempotency key of a question that got no answer, and may wait in Restate; empty if none does.
    """

    service: str
    state: ServiceState
    detail: str = ""
    takes_progress: bool = False
    unknown_keys: tuple[str, ...] = ()
    waiting: str = ""


class ServiceCheck:
    """Asks the services of a bridge.

    Args:
        monitors: names of each `TaskMonitor` that the bridge calls, the environment's own one first.
        notifiers: names of each `NotifierService` that the bridge calls.
        marks: name of the environment's own `ConsumedMarks`, without which its `TaskMonitor` notices no lost worker.
        asker: who asks; a doctor withdraws its questions, and those of bridges stay.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: RestateSettings,
        keyring: Keyring,
        audience: str,
        *,
        monitors: Sequence[str] = (),
        notifiers: Sequence[str] = (),
        marks: str | None = None,
        asker: str = "bridge",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._asker = asker
        self._clock = clock
        self._keyring = keyring
        self._audience = audience
        self._marks = marks
        self._monitors = monitors[:1]  # the old one of an upgrade is told the same, and need not take it
        self._questions: list[tuple[str, _Question]] = [
            *((name, _ask_monitor) for name in monitors),
            *((name, _ask_notifier) for name in notifiers),
        ]

    async def ask(self) -> list[ServiceAnswer]:
        """Ask each service, for a few seconds at most; an answer that does not come counts as unknown."""
        if not self._questions:
            return []
        http = RestateHttp(self._settings, connections=len(self._questions))
        await http.start()
        try:
            answers = await asyncio.gather(*(self._ask(http, name, question) for name, question in self._questions))
        finally:
            await http.stop()
        return [answer._replace(takes_progress=answer.service in self._monitors) for answer in answers]

    async def _ask(self, http: RestateHttp, service: str, question: _Question) -> ServiceAnswer:
        found, unknown, key = ServiceAnswer(service, ServiceState.UNKNOWN), list[str](), ""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                for keyring in self._keyring.each():  # those of now: keys in a file rotate
                    sample = self._sample(service, keyring)
                    request, key = question(service, sample), sample.key
                    result = await _post(http, request.path, request.body, key)
                    state, detail = request.read(result)
                    found = ServiceAnswer(service, state, detail, waiting="" if isinstance(result, HttpAnswer) else key)
                    if state is not ServiceState.FOREIGN:
                        break
                    unknown += keyring.key_ids
                if found.state is ServiceState.OWN:
                    found = found._replace(unknown_keys=tuple(unknown))
                if found.state is ServiceState.OWN and service in self._monitors and self._marks is not None:
                    key = f"{key}-marks"
                    found = await self._with_marks(http, found, self._marks, key)
        except TimeoutError:
            return ServiceAnswer(service, ServiceState.UNKNOWN, f"no answer within {_TIMEOUT_S:g} s", waiting=key)
        return found

    def _sample(self, service: str, keyring: Keyring) -> _Sample:
        codec = self._settings.journal_value_codec  # what another one has encoded is another question
        scope = f"{self._asker} {service} {codec}"
        return _sample(scope, keyring, self._audience, self._clock())

    async def _with_marks(self, http: RestateHttp, monitor: ServiceAnswer, marks: str, key: str) -> ServiceAnswer:
        state, _ = _read_monitor(await _post(http, f"/{marks}/{_TASK_TYPE}/read", b"", key))
        if state is not ServiceState.MISSING:
            return monitor
        return monitor._replace(state=ServiceState.INCOMPLETE, detail=f"Restate does not know {marks}")


def services_in_use(names: ServiceNames, old: ServiceNames | None) -> list[ServiceNames]:
    """The names under which a bridge calls services: its environment's, and the old ones during an upgrade."""
    return [names] if old is None else [names, old]


def foreign_service(answers: Sequence[ServiceAnswer], url: str) -> str | None:
    """Say what is wrong if a service belongs to another environment; None if none does."""
    for each in answers:
        if each.state is ServiceState.FOREIGN and (mismatch := codec_mismatch(each.detail)) is not None:
            return f"{each.service} at {url} {mismatch} ({each.detail}). {_SAME_CODEC}"
        if each.state is ServiceState.FOREIGN:
            return (
                f"{each.service} at {url} does not verify this bridge's tokens ({each.detail}): it belongs to an "
                "environment with other keys or another audience. Give each environment of a Restate a "
                "KALLBACK_TOPICS_PREFIX of its own, the same in its services, workers and bridges. If the service is "
                "yours, give it the bridge's KALLBACK_KEYS and KALLBACK_AUDIENCE, and register it again"
            )
    return None


def incomplete_service(answer: ServiceAnswer) -> str:
    """Say what is wrong with a service that calls another one, which Restate does not know."""
    return (
        f"{answer.detail}, which {answer.service} calls, so no attempt counts as lost and later attempts are not sent: "
        "serve all of callbacks.services, for example with callbacks.app([...]), and register the deployment again"
    )


_SAME_CODEC: Final = (
    f"Set {VARIABLE} of the bridge to the MODULE:NAME of the object that the services pass to callbacks.app as "
    "journal_value_codec, or to nothing if they pass none"
)


def codec_mismatch(detail: str) -> str | None:
    """Say what is wrong with the codec of a foreign service; None if it is not the codec.

    Args:
        detail: of its answer. The first text is Restate's SDK's.
    """
    if "journal value codec" in detail:
        return "cannot decode what this bridge sends: its journal_value_codec is not the bridge's"
    if "the body is no " in detail:
        return "cannot read what this bridge sends: it has no journal_value_codec, or another one than the bridge"
    return None


class _ServiceRequest(NamedTuple):
    """What is posted to a service.

    Attributes:
        read: what an answer says, and why.
    """

    path: str
    body: bytes
    read: Callable[[HttpResult], tuple[ServiceState, str]]


class _Sample(NamedTuple):
    """What a question is about.

    Attributes:
        task_id: of a task that does not exist.
        token: of this task.
        asked_ms: epoch milliseconds.
        key: the idempotency key of the question.
    """

    task_id: TaskId
    token: str
    asked_ms: int
    key: str


_Question = Callable[[str, _Sample], _ServiceRequest]


def _ask_monitor(service: str, sample: _Sample) -> _ServiceRequest:
    body = msgspec.json.encode(Heard(sample.token, Signal.HEARTBEAT, sample.asked_ms, sample.asked_ms))
    return _ServiceRequest(f"/{service}/{sample.task_id}/progress", body, _read_monitor)


def _ask_notifier(service: str, sample: _Sample) -> _ServiceRequest:
    body = msgspec.json.encode({"token": sample.token, "value": None})
    return _ServiceRequest(f"/{service}/ack", body, _read_notifier)


def _read_monitor(result: HttpResult) -> tuple[ServiceState, str]:
    if isinstance(result, CodecFailedError):
        return ServiceState.UNREADABLE, str(result)
    if not isinstance(result, HttpAnswer):
        return ServiceState.UNREACHABLE, str(result)
    if result.status in _OK and _is_a_handlers(result.body):
        return ServiceState.OWN, ""
    said = _error_of(result.body)
    detail = f"{result.status}: {said.message[:_SHOWN]}"
    if result.status in _DENIED:
        return ServiceState.DENIED, detail
    if result.status != said.code:
        return ServiceState.NOT_RESTATES, detail
    return _OF_CODE.get(said.code, ServiceState.UNKNOWN), detail


def _is_a_handlers(body: bytes) -> bool:
    """Whether it may be what a handler returned: nothing, or JSON. The page of a login is neither."""
    if body:
        try:
            read_json(_ANY_JSON, body, limit=MAX_NESTING + 1)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
    return True


_DENIED: Final = (401, 403)
_OF_CODE: Final = {_REFUSED: ServiceState.FOREIGN, 404: ServiceState.MISSING}
"""By the code in the body of an error of Restate's (1.7: `{"code":404,"message":...,"source":"ingress"}`)."""


class _AckVerdict(msgspec.Struct):
    outcome: str
    detail: str = ""


def _read_notifier(result: HttpResult) -> tuple[ServiceState, str]:
    if not isinstance(result, HttpAnswer) or result.status not in _OK:
        state, detail = _read_monitor(result)
        is_unknown = state is ServiceState.FOREIGN and codec_mismatch(detail) is None
        return (ServiceState.UNKNOWN if is_unknown else state), detail
    try:
        verdict = read_json(_ACK_VERDICT, result.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return ServiceState.UNREADABLE, f"it is no verdict: {error}"
    return (ServiceState.FOREIGN if verdict.outcome == Outcome.UNVERIFIED else ServiceState.OWN), verdict.detail


class _ServiceError(msgspec.Struct):
    code: int = 0
    message: str = ""


_ACK_VERDICT: Final = msgspec.json.Decoder(_AckVerdict)
_SERVICE_ERROR: Final = msgspec.json.Decoder(_ServiceError)
_ANY_JSON: Final = msgspec.json.Decoder(msgspec.Raw)


def _error_of(body: bytes) -> _ServiceError:
    try:
        return read_json(_SERVICE_ERROR, body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _ServiceError(message=body[:_SHOWN].decode("utf-8", "replace"))


def _sample(scope: str, keyring: Keyring, audience: str, now: float) -> _Sample:
    """The same for all who ask in one scope with the same key in the same minutes; no other keys lead to it."""
    window = int(now) // _SAME_QUESTION_S
    named = hashlib.sha256(f"{scope} {window}".encode()).digest()
    raw = named[:_INVOCATION_ID_BYTES] + _SIGNAL
    awakeable = AwakeableId("sign_1" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode())
    unsigned = Token(_TASK_TYPE, task_id_of(named[-TASK_ID_BYTES:]), Attempt(1), awakeable)
    of_keyring = hashlib.sha256(keyring.sign(unsigned, audience).encode()).digest()
    task_id = task_id_of(of_keyring[:TASK_ID_BYTES])
    token = keyring.sign(Token(_TASK_TYPE, task_id, Attempt(1), awakeable), audience)
    return _Sample(task_id, token, int(now * 1000), QUESTION + of_keyring.hex()[-32:])


async def _post(http: RestateHttp, path: str, body: bytes, key: str) -> HttpResult:
    came: asyncio.Future[HttpResult] = asyncio.get_running_loop().create_future()

    def answered(result: HttpResult) -> None:
        if not came.done():
            came.set_result(result)

    http.post_value(path, body, content_type=_JSON, on_result=answered, idempotency_key=key, returns_value=True)
    return await came
