"""Completes awakeables one by one over Restate's HTTP ingress: no set-up, so it is the default.

A verified token's answer travels as a *resolved* envelope, failures too, because HTTP reject keeps a text only. A bare
awakeable gets the value itself, or is rejected with the failure's text. Bodies are put together here, right before
they are sent, so that a queued completion holds no second copy of its value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kallback.bridge.completers import Completion
from kallback.bridge.replies import Misconfigured, Reply, Retry, read_reply
from kallback.bridge.restate_http import HttpTimeoutError, RestateHttp
from kallback.protocol import Completed, ConfigurationError, DecodeError, Failed, RestateUnavailableError, Token, seal
from kallback.settings import RestateSettings

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"


class IngressCompleter:
    """Posts each completion to `/restate/awakeables/{id}/resolve` (or `/reject`)."""

    def __init__(self, settings: RestateSettings) -> None:
        self._http = RestateHttp(settings)
        self._url = settings.ingress_url
        self._awakeables = f"{settings.ingress_url}/restate/awakeables/"

    @property
    def batch_limit(self) -> int:
        """One request, one completion."""
        return 1

    async def start(self) -> None:
        """Build the connection pool."""
        await self._http.start()

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.stop()

    async def complete(self, batch: Sequence[Completion]) -> Sequence[Reply]:
        """Post each of a batch."""
        return [await self._post(completion) for completion in batch]

    async def _post(self, completion: Completion) -> Reply:
        verb, body, content_type = _request(completion)
        url = f"{self._awakeables}{completion.target.awakeable_id}/{verb}"
        try:
            answer = await self._http.post(url, body, content_type=content_type)
        except HttpTimeoutError as error:
            return Retry("timeout", str(error))
        except RestateUnavailableError as error:
            return Retry("unreachable", str(error))
        except ConfigurationError as error:
            return Misconfigured("certificate", str(error))
        return read_reply(answer.status, body=answer.body, retry_after=answer.retry_after, url=self._url)


def _request(completion: Completion) -> tuple[str, bytes, str]:
    target, answer = completion.target, completion.answer
    if isinstance(target, Token):
        return "resolve", seal(target.task_id, target.attempt, answer), JSON
    if isinstance(answer, Completed):
        return "resolve", answer.value, JSON
    return "reject", _sentence(answer).encode(), TEXT


def _sentence(failed: Failed) -> str:
    try:
        problem = failed.problem()
    except DecodeError:  # nested too deeply to be read, though it is JSON
        return "the worker reported a failure that cannot be read"
    return problem.detail or problem.title or problem.type
