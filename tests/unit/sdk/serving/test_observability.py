"""Metrics and probes of a process that serves an application."""

from __future__ import annotations

import asyncio
from typing import Any

import restate
from restate import Context
from tests.unit.docs.metric_tables import documented, exposed
from tests.unit.sdk.serving.test_server import answer, connected

from kallback.health import Phase
from kallback.health.running_probes import RunningProbes
from kallback.sdk import Callbacks
from kallback.sdk.observability.counts import counts_of
from kallback.sdk.serving import ServiceStats
from kallback.sdk.serving.observability import ServiceCollector
from kallback.sdk.serving.stats import OTHER, CountedApp, CountedHandler
from kallback.settings import KeySettings, Settings

HANDLER = CountedHandler("Orders", "place")
NONE = CountedHandler(OTHER, OTHER)


async def call(app: Any, path: str) -> None:
    """Send a request to an application, without a server."""

    async def send(_: object) -> None: ...

    await app({"type": "http", "path": path}, None, send)


async def app_of_orders(scope: Any, _receive: Any, send: Any) -> None:
    """Answers as Restate's SDK does: 200 for a handler of its own, otherwise 404."""
    is_known = scope["path"].startswith("/invoke/Orders/")
    await send({"type": "http.response.start", "status": 200 if is_known else 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_requests_are_counted_by_handler_and_status() -> None:
    """Names that the application does not know are no labels: anyone who can reach the port could make them up."""
    stats = ServiceStats()
    app = CountedApp(app_of_orders, stats)
    for path in ("/invoke/Orders/place", "/invoke/Orders/place", "/invoke/Forged/name", "/other"):
        await call(app, path)

    assert dict(stats.requests) == {(HANDLER, "200"): 2, (NONE, "404"): 2}
    assert dict(stats.running) == {HANDLER: 0}


async def test_handlers_beyond_a_hundred_share_a_label() -> None:
    """Whatever an application answers with 200, the number of labels is bounded."""
    stats = ServiceStats()
    for number in range(120):
        await call(CountedApp(app_of_orders, stats), f"/invoke/Orders/{number}")

    assert stats.requests[NONE, "200"] == 20
    assert len(stats.running) == 101


async def test_a_handler_runs_until_its_request_ends_however_that_is() -> None:
    """One that fails, and one whose request ends before there is an answer, do not run any more."""
    stats, seen = ServiceStats(), list[int]()

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        if scope["path"] == "/invoke/Orders/place":
            await answer(send)
            seen.append(stats.running[HANDLER])
        raise RuntimeError("a defect")

    for path in ("/invoke/Orders/place", "/invoke/Orders/silent"):
        await asyncio.gather(call(CountedApp(app, stats), path), return_exceptions=True)

    assert (seen, sum(stats.running.values())) == ([1], 0)
    assert stats.requests[NONE, "none"] == 1


async def test_a_service_is_ready_while_it_listens_and_counts_its_connections() -> None:
    """Before and after that it is alive and not ready, and says in which phase it is."""
    stats = ServiceStats()
    probes = RunningProbes("service", stats)
    said = [probes.ready()]

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(send)

    async with connected(app, stats) as connection:
        await connection.answered(connection.request())
        said.append(probes.ready())
        connections = stats.connections
    said.append(probes.ready())

    assert [(each.ok, each.phase) for each in said] == [
        (False, Phase.STARTING),
        (True, Phase.RUNNING),
        (False, Phase.STOPPED),
    ]
    assert said[0].reasons == ["the service is starting"]
    assert probes.live().ok
    assert (connections, stats.connections) == (1, 0)


def test_the_metrics_of_an_application_are_those_of_its_server_and_of_its_tasks() -> None:
    """A service has them without code of its own; the table of the page lists them."""
    callbacks = Callbacks(Settings(keys=KeySettings(insecure=True)))
    orders = restate.Service("Orders")

    @orders.handler()
    async def place(ctx: Context) -> None: ...

    counts = counts_of(callbacks.app([orders]))

    assert counts is callbacks.counts
    found = exposed(ServiceCollector(ServiceStats(), counts).collect())
    page = "observability.md"
    assert found == documented(page, "kallback_service_") | documented(page, "kallback_sdk_")
    assert counts_of(object()) is None
