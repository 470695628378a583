"""Completes awakeables one by one over Restate's HTTP ingress: it needs no set-up, so it is the default.

A verified token's answer travels as a *resolved* envelope, failures too, because HTTP reject keeps only a text. A bare
awakeable gets the value itself, or is rejected with the failure's text. Bodies are built right before they are sent, so
that a queued completion holds no second copy of its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kallback.bridge.completers.base import Answered
from kallback.bridge.completers.replies import ACCEPTED, TAKEN, Misconfigured, Reply, Retry, read_reply
from kallback.bridge.restate.client import RestateHttp
from kallback.bridge.restate.requests import HttpAnswer, HttpResult, HttpTimeoutError
from kallback.bridge.results.completion import Completion
from kallback.protocol import Completed, ConfigurationError, DecodeError, Failed, RestateUnavailableError, Token, seal
from kallback.settings import HttpVersion, RestateSettings

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
_RESOLVE: Final = "resolve"
_CONNECTIONS: Final = 128


class IngressCompleter:
    """Posts each completion to `/restate/awakeables/{id}/resolve` (or `/reject`).

    Args:
        concurrency: maximum number of completions under way. Over HTTP/1.1, where each has a connection of its own, no
            more than 128: retries, which take up to a quarter of the concurrency, must leave some.
    """

    def __init__(self, settings: RestateSettings, *, concurrency: int = 512) -> None:
        connections = min(concurrency, _CONNECTIONS)
        self._http = RestateHttp(settings, connections=connections, streams=concurrency)
        self._concurrency = concurrency if settings.http_version is HttpVersion.HTTP_2 else connections
        self._url = settings.ingress_url

    @property
    def batch_limit(self) -> int:
        """One completion per request."""
        return 1

    @property
    def send_limit(self) -> int:
        """One completion per request."""
        return self._concurrency

    async def start(self) -> None:
        """Start the connection pool."""
        await self._http.start()

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.stop()

    def send(self, batch: Sequence[Completion], answered: Answered) -> None:
        """Post a completion."""
        (completion,) = batch
        verb, body, content_type = _request(completion)
        path = f"/restate/awakeables/{completion.target.awakeable_id}/{verb}"
        post = self._http.post_value if verb == _RESOLVE else self._http.post  # texts of rejections are never encoded
        post(path, body, content_type=content_type, on_result=lambda result: answered((self._reply(result),)))

    def _reply(self, result: HttpResult) -> Reply:
        if isinstance(result, HttpAnswer) and result.status == ACCEPTED:
            return TAKEN
        try:
            if isinstance(result, HttpAnswer):
                return read_reply(result.status, body=result.body, retry_after=result.retry_after, url=self._url)
            return failed_reply(result)
        except Exception as error:  # noqa: BLE001 - the connection that calls cannot handle it; the dispatcher retries
            return Retry("defect", f"a reply could not be read: {type(error).__name__}: {error}")


def failed_reply(error: RestateUnavailableError | ConfigurationError) -> Retry | Misconfigured:
    """Return the reply for a completion whose request got no answer."""
    if isinstance(error, HttpTimeoutError):
        return Retry("timeout", str(error), overloaded=True)
    if isinstance(error, RestateUnavailableError):
        return Retry("unreachable", str(error))
    return Misconfigured("certificate", str(error))


def _request(completion: Completion) -> tuple[str, bytes, str]:
    target, answer = completion.target, completion.answer
    if isinstance(target, Token):
        return _RESOLVE, seal(target.task_id, target.attempt, answer), JSON
    if isinstance(answer, Completed):
        return _RESOLVE, answer.value, JSON
    return "reject", _sentence(answer).encode(), TEXT


def _sentence(failed: Failed) -> str:
    try:
        problem = failed.problem()
    except DecodeError:  # nested too deeply to be read, though it is JSON
        return "the worker reported a failure that cannot be read"
    return problem.detail or problem.title or problem.type
