"""A proxy before Restate loses its route for longer than any roll-out: bridges wait, and go on."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import restate
from tests.integration.bridge.environment import KEYRING, ResultsTopic, with_restate
from tests.integration.bridge.routing_proxy import RoutingProxy

from kallback.bridge import Backoff, BridgeOptions, Clocks, CompleterName
from kallback.bridge.observability.probes import readiness
from kallback.sdk import NotifierService
from kallback.testing import RestateServer
from kallback.testing.clients.service_endpoint import serve_endpoint
from kallback.testing.polling import eventually

pytestmark = pytest.mark.integration

PAGES = {
    "404": ("404 Not Found", b"default backend - 404"),
    "403": ("403 Forbidden", b"<html>denied</html>"),
    "401": ("401 Unauthorized", b""),
    "a login page": ("200 OK", b"<html><form>log in</form></html>"),
}


@pytest.mark.parametrize("completer", list(CompleterName))
@pytest.mark.parametrize("page", PAGES.values(), ids=list(PAGES))
async def test_a_lost_route_ends_no_bridge(
    results: ResultsTopic, restate_server: RestateServer, completer: CompleterName, page: tuple[str, bytes]
) -> None:
    """After more than 30 s of it the bridge is not ready; when the route is back, the handlers have their values."""
    now = 0.0
    options = BridgeOptions(backoff=Backoff(first=0.01, longest=0.05), completer=completer)
    async with AsyncExitStack() as until:
        service = NotifierService(KEYRING, results.settings.topics.results)
        await until.enter_async_context(serve_endpoint(restate.app([service]), restate_server))
        proxy = await until.enter_async_context(RoutingProxy(results.settings.restate.ingress_url).running())
        behind = with_restate(results, ingress_url=proxy.url)
        bridge = await until.enter_async_context(behind.bridge(options, clocks=Clocks(monotonic=lambda: now)))
        handlers = [await results.waiting_handler() for _ in range(8)]
        proxy.lose_route(*page)
        for each in handlers:
            await results.complete(each.token)
        await eventually("refused requests", lambda: proxy.answered > 20)
        now = 40.0
        await eventually("the bridge not to be ready", lambda: not readiness(bridge).ok)
        seen, now = proxy.answered, 4000.0
        await eventually("further tries", lambda: proxy.answered > seen + 5)
        assert (bridge.failure, behind.outcomes()) == (None, {})

        proxy.restore_route()
        await behind.settle(len(handlers))
        assert [(await each.envelope())["status"] for each in handlers] == ["completed"] * len(handlers)
        await eventually("the bridge to be ready", lambda: readiness(bridge).ok)
    assert (behind.outcomes(), await results.dead_letters()) == ({"delivered": len(handlers)}, {})


@pytest.mark.parametrize("page", [PAGES["404"], PAGES["403"]], ids=["404", "403"])
async def test_a_bridge_that_starts_without_a_route_is_not_ready(
    results: ResultsTopic, restate_server: RestateServer, page: tuple[str, bytes]
) -> None:
    """Though no result waits: a roll-out with a wrong address replaces no bridge that works. The route cures it."""
    async with AsyncExitStack() as until:
        service = NotifierService(KEYRING, results.settings.topics.results)
        await until.enter_async_context(serve_endpoint(restate.app([service]), restate_server))
        proxy = await until.enter_async_context(RoutingProxy(results.settings.restate.ingress_url).running())
        proxy.lose_route(*page)
        behind = with_restate(results, ingress_url=proxy.url)
        bridge = await until.enter_async_context(behind.bridge(BridgeOptions()))
        await eventually("partitions", lambda: (status := bridge.group_status()) is not None and status.joined)
        answered = proxy.answered
        await eventually("further looks", lambda: proxy.answered > answered)
        before = readiness(bridge)

        proxy.restore_route()
        await eventually("the bridge to be ready", lambda: readiness(bridge).ok)
    assert (before.ok, before.restate) == (False, "unavailable")
