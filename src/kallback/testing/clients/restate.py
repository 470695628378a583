"""Small clients for Restate's two HTTP interfaces: call handlers, complete awakeables, look into invocations.

For tests and demos: httpx, no retries. A handler is named by its path: `Service/handler` or `Object/key/handler`
(`urllib.parse.quote` keys that need it).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import orjson

from kallback.protocol import Codec, Completed, Failed, Problem, read_claims, seal
from kallback.protocol.errors import KallbackError
from kallback.protocol.links import token_in

if TYPE_CHECKING:
    from types import TracebackType

    from kallback.protocol import Answer

_JSON: Final = {"content-type": "application/json"}
_TEXT: Final = {"content-type": "text/plain"}
_REFUSED: Final = 400
_ANY: Final = Codec[Any](object)


class RestateError(KallbackError):
    """Restate, or the handler behind it, answered with an error.

    Attributes:
        status: the HTTP status; for a handler's terminal error, its code.
        body: the answer as text.
    """

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"Restate answered {status}: {body}")
        self.status = status
        self.body = body


class _HttpClient:
    """Each request is an asyncio task of the client's, so that `stop` can end it before its connection is closed."""

    def __init__(self, url: str, *, timeout: float = 60.0) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=timeout)
        self._requests: set[asyncio.Task[httpx.Response]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Cancel the requests that wait for an answer, as those of a test that failed, and close the connections."""
        waiting = list(self._requests)
        for request in waiting:
            request.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await self._http.aclose()

    async def _request(self, method: str, path: str, *, body: Any = ..., headers: dict[str, str] | None = None) -> Any:
        content, kind = (None, {}) if body is ... else (orjson.dumps(body), _JSON)
        answer = await self._send(method, path, content, kind | {"accept": "application/json"} | (headers or {}))
        return orjson.loads(answer) if answer else None

    async def _send(self, method: str, path: str, content: str | bytes | None, headers: dict[str, str]) -> bytes:
        request = asyncio.create_task(self._http.request(method, path, content=content, headers=headers))
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)
        answer = await request
        if answer.status_code >= _REFUSED:
            raise RestateError(answer.status_code, answer.text)
        return answer.content


class Ingress(_HttpClient):
    """Calls handlers and completes awakeables, as any HTTP client outside Restate would.

    Args:
        url: `stack.ingress_url`.
        timeout: seconds until a request fails with `httpx.TimeoutException`.
    """

    async def call(self, target: str, body: Any = ..., *, idempotency_key: str | None = None) -> Any:
        """Call a handler and return its result; leave `body` out for a handler that takes none.

        Raises:
            RestateError: the handler failed.
        """
        return await self._request("POST", f"/{target}", body=body, headers=_idempotency(idempotency_key))

    async def send(self, target: str, body: Any = ..., *, idempotency_key: str | None = None) -> str:
        """Start a handler and return its invocation id at once."""
        answer = await self._request("POST", f"/{target}/send", body=body, headers=_idempotency(idempotency_key))
        return str(answer["invocationId"])

    async def attach(self, invocation_id: str) -> Any:
        """Wait for an invocation's result.

        Raises:
            RestateError: it failed.
        """
        return await self._request("GET", f"/restate/invocation/{invocation_id}/attach")

    async def output(self, invocation_id: str) -> Any:
        """Return an invocation's result now.

        Raises:
            RestateError: it failed, or is not done yet (470).
        """
        return await self._request("GET", f"/restate/invocation/{invocation_id}/output")

    async def resolve(self, awakeable_id: str, body: Any = ...) -> None:
        """Resolve an awakeable."""
        await self._request("POST", f"/restate/awakeables/{awakeable_id}/resolve", body=body)

    async def reject(self, awakeable_id: str, reason: str) -> None:
        """Reject an awakeable."""
        await self._send("POST", f"/restate/awakeables/{awakeable_id}/reject", reason, _TEXT)

    async def complete(self, token: str, value: object = None) -> None:
        """Answer a token of `callbacks.awakeable`, as its holder does; the waiting handler resumes.

            invocation = await ingress.send("Orders/buy", "lamp")
            await ingress.complete(await asked.get(), True)
            assert await ingress.attach(invocation) == "ordered"

        The answer goes straight to Restate, as that of `kallback complete`, but the signature is not verified. Not for
        services with a journal value codec.

        Args:
            token: of the awakeable, or a link with it.
            value: anything that JSON can carry: plain values, dataclasses, `msgspec.Struct`, pydantic models.

        Raises:
            UnverifiedError: it is no token.
            EncodeError: JSON cannot carry the value.
        """
        await self._answer(token, Completed(_ANY.encode(value)))

    async def fail(self, token: str, problem: Problem) -> None:
        """Refuse in place of answering: the waiting handler gets `TaskFailed` with this problem.

        Raises:
            UnverifiedError: it is no token.
        """
        await self._answer(token, Failed(problem.encode()))

    async def _answer(self, text: str, answer: Answer) -> None:
        token = read_claims(token_in(text)).token
        path = f"/restate/awakeables/{token.awakeable_id}/resolve"
        await self._send("POST", path, seal(token.task_id, token.attempt, answer), _JSON)


class Admin(_HttpClient):
    """Restate's admin API, as far as tests want it.

    Args:
        url: `stack.admin_url`.
    """

    async def register(self, uri: str) -> str:
        """Register a deployment (over one of the same address) and return its id."""
        answer = await self._request("POST", "/deployments", body={"uri": uri, "force": True})
        return str(answer["id"])

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """Return the rows of a SQL query, such as one on `sys_invocation`."""
        answer = await self._request("POST", "/query", body={"query": sql})
        rows: list[dict[str, Any]] = answer["rows"]
        return rows

    async def invocation(self, invocation_id: str) -> dict[str, Any] | None:
        """Return the invocation's row of `sys_invocation`; None if there is none (any more)."""
        rows = await self.query(f"SELECT * FROM sys_invocation WHERE id = '{invocation_id}'")  # noqa: S608 - a test's own id
        return rows[0] if rows else None

    async def cancel(self, invocation_id: str) -> None:
        """Cancel an invocation: its next await raises a terminal error 409."""
        await self._request("PATCH", f"/invocations/{invocation_id}/cancel")

    async def kill(self, invocation_id: str) -> None:
        """Kill an invocation: nothing of it runs any more, no compensation either."""
        await self._request("PATCH", f"/invocations/{invocation_id}/kill")

    async def resume(self, invocation_id: str) -> None:
        """Let a paused invocation go on."""
        await self._request("PATCH", f"/invocations/{invocation_id}/resume")

    async def purge(self, invocation_id: str) -> None:
        """Forget a completed invocation."""
        await self._request("PATCH", f"/invocations/{invocation_id}/purge")

    async def add_kafka_cluster(self, name: str, bootstrap_servers: str) -> None:
        """Make a Kafka cluster known, for `subscribe`."""
        body = {"name": name, "properties": {"bootstrap.servers": bootstrap_servers}}
        await self._request("POST", "/kafka-clusters", body=body)

    async def subscribe(self, source: str, sink: str, options: dict[str, str] | None = None) -> str:
        """Feed a topic (`kafka://CLUSTER/TOPIC`) to a handler (`service://Service/handler`); return the id."""
        body = {"source": source, "sink": sink, "options": options or {}}
        return str((await self._request("POST", "/subscriptions", body=body))["id"])


def _idempotency(key: str | None) -> dict[str, str]:
    return {} if key is None else {"idempotency-key": key}
