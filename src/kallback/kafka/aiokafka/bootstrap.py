"""Finds a bootstrap server that answers: aiokafka asks one after the other, and waits 40 s for each.

All are asked at once, and the first that answers is used; where there is only one, aiokafka itself asks it. It gives up
at once where a connection is refused, and librdkafka tries until the connect timeout is over; so does everything here
that starts. What connects anew later, such as a producer whose connection broke, has an owner that tries again.
Cancellation: the connections that are being made are closed.
"""

# aiokafka is annotated in part only and ships no py.typed:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kallback.kafka.aiokafka.client import aiokafka_config
from kallback.kafka.aiokafka.login import reason_of, refusal_of
from kallback.kafka.errors import unreachable
from kallback.kafka.login.listener import why_not_let_in
from kallback.protocol.errors import KafkaUnavailableError

from aiokafka.conn import collect_hosts, create_conn  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kallback.settings import KafkaSettings


T = TypeVar("T")

_RETRY_S: Final = 0.5


async def until_reachable(
    settings: KafkaSettings, attempt: Callable[[], Awaitable[T]], is_stopped: Callable[[], bool] = lambda: False
) -> T:
    """Return what an attempt to connect returns, as soon as a broker answers.

    Args:
        settings: say for how long it is tried.
        attempt: to connect.
        is_stopped: whether another attempt would be in vain.

    Raises:
        KafkaUnavailableError: that of the last attempt when the connect timeout is over.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.connect_timeout
    while True:
        try:
            return await attempt()
        except KafkaUnavailableError:
            if is_stopped() or loop.time() + _RETRY_S > deadline:
                raise
        await asyncio.sleep(_RETRY_S)


async def reachable_config(settings: KafkaSettings) -> dict[str, Any]:
    """Return `aiokafka_config` with a bootstrap server that answers.

    Raises:
        KafkaUnavailableError: none answered within the connect timeout; the sentence says what each of several did.
        AccessDeniedError: none answered, and one refuses the credentials or the certificate.
    """
    config = aiokafka_config(settings)
    servers = collect_hosts(settings.bootstrap_servers, randomize=False)
    if len(servers) == 1:
        return config
    options = {name: value for name, value in config.items() if name != "bootstrap_servers"}
    tasks = {
        f"{host}:{port}": asyncio.create_task(_ask(host, port, options), name="kallback-bootstrap")
        for host, port, _ in servers
    }
    try:
        async with asyncio.timeout(settings.connect_timeout):
            return config | {"bootstrap_servers": await _first(tasks)}
    except TimeoutError:
        pass
    finally:
        for task in tasks.values():
            task.cancel()
        results = await asyncio.gather(*tasks.values(), return_exceptions=True)
    failures = dict(zip(tasks, results, strict=True))
    refusals = (refusal_of(error, settings) for error in failures.values() if isinstance(error, Exception))
    refusal = await asyncio.to_thread(why_not_let_in, settings) or next(filter(None, refusals), None)
    if refusal is not None:
        raise refusal
    raise unreachable(settings, "; ".join(f"{server}: {reason_of(error)}" for server, error in failures.items()))


async def _ask(host: str, port: int, options: Mapping[str, Any]) -> None:
    connection = await create_conn(host, port, **options)
    connection.close()


async def _first(tasks: Mapping[str, asyncio.Task[None]]) -> str:
    """Return the server that answers first.

    Raises:
        TimeoutError: none of them does.
    """
    pending = set(tasks.values())
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for server, task in tasks.items():
            if task in done and task.exception() is None:
                return server
    raise TimeoutError
