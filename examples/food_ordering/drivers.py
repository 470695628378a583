"""The drivers: who is free (one matcher for the city), and where each one is (one digital twin per driver).

Both complete awakeables that a delivery waits on. The twins get their locations from Restate's own Kafka
subscription on `driver-updates`: Restate reads that topic itself and calls `location_update` for each record.
"""

from __future__ import annotations

import msgspec
import restate
from tasks import Location

from kallback.sdk import complete_awakeable

CITY = "Berlin"
NEAR = 0.0002  # degrees, about twenty metres

driver_matcher = restate.VirtualObject("DriverMatcher")
driver_digital_twin = restate.VirtualObject("DriverDigitalTwin")


class Search(msgspec.Struct, frozen=True):
    """A delivery that wants a driver; the callback is the awakeable that takes the driver's name."""

    order_id: str
    callback: str


class Stop(msgspec.Struct, frozen=True):
    """Where a driver is to go; the callback is the awakeable to complete on arrival."""

    location: Location
    callback: str


class Pool(msgspec.Struct):
    """The matcher's state: free drivers, waiting deliveries, and who is on the road for which order."""

    free: list[str] = []
    waiting: list[Search] = []
    on_the_road: dict[str, str] = {}


@driver_matcher.handler()
async def driver_available(ctx: restate.ObjectContext, driver: str) -> None:
    """Take in a driver who starts a shift."""
    pool = await _pool(ctx)
    pool.free.append(driver)
    _match(ctx, pool)


@driver_matcher.handler()
async def find_driver(ctx: restate.ObjectContext, search: Search) -> None:
    """Find a driver, now or as soon as one is free; the answer goes to the search's awakeable."""
    pool = await _pool(ctx)
    pool.waiting.append(search)
    _match(ctx, pool)


@driver_matcher.handler()
async def release(ctx: restate.ObjectContext, order_id: str) -> None:
    """End the search for an order, or free its driver."""
    pool = await _pool(ctx)
    pool.waiting = [search for search in pool.waiting if search.order_id != order_id]
    if driver := pool.on_the_road.pop(order_id, None):
        pool.free.append(driver)
    _match(ctx, pool)


async def _pool(ctx: restate.ObjectContext) -> Pool:
    return await ctx.get("pool", type_hint=Pool) or Pool()


def _match(ctx: restate.ObjectContext, pool: Pool) -> None:
    while pool.free and pool.waiting:
        driver, search = pool.free.pop(0), pool.waiting.pop(0)
        pool.on_the_road[search.order_id] = driver
        complete_awakeable(ctx, search.callback, driver)
    ctx.set("pool", pool)


@driver_digital_twin.handler()
async def drive_to(ctx: restate.ObjectContext, stop: Stop) -> None:
    """Send the driver somewhere."""
    ctx.set("stop", stop)


@driver_digital_twin.handler()
async def location_update(ctx: restate.ObjectContext, location: Location) -> None:
    """Learn from Kafka where the driver is; arriving completes the awakeable that waits for it."""
    ctx.set("location", location)
    stop = await ctx.get("stop", type_hint=Stop)
    if stop is not None and _near(location, stop.location):
        ctx.clear("stop")
        complete_awakeable(ctx, stop.callback, "arrived")


@driver_digital_twin.handler(kind="shared")
async def next_stop(ctx: restate.ObjectSharedContext) -> Location | None:
    """Tell the driver's phone where to go."""
    stop = await ctx.get("stop", type_hint=Stop)
    return None if stop is None else stop.location


def _near(one: Location, other: Location) -> bool:
    return abs(one.latitude - other.latitude) < NEAR and abs(one.longitude - other.longitude) < NEAR
