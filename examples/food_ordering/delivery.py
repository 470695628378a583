"""Bringing an order to the door: a virtual object, keyed by the order's id.

Here the awakeables are plain ones of Restate: `ctx.awakeable()` makes an id, the id travels in an ordinary message,
and another Restate service completes it (see `drivers.py`). No Kafka task is involved.
"""

from __future__ import annotations

import msgspec
import restate
from drivers import CITY, Search, Stop, drive_to, find_driver, release
from restate import TerminalError
from tasks import Place

delivery_manager = restate.VirtualObject("DeliveryManager")


class Delivery(msgspec.Struct, frozen=True):
    """Something to bring from one place to another."""

    pick_up: Place
    drop_off: Place


@delivery_manager.handler()
async def deliver(ctx: restate.ObjectContext, delivery: Delivery) -> str:
    """Find a driver, wait for the pick-up, wait for the drop-off; return the driver's name."""
    try:
        ctx.set("status", "waiting for a driver")
        callback, found = ctx.awakeable(type_hint=str)
        ctx.object_send(find_driver, key=CITY, arg=Search(ctx.key(), callback))
        driver = await found

        ctx.set("status", f"{driver} is on the way to {delivery.pick_up.name}")
        await _arrival(ctx, driver, delivery.pick_up)

        ctx.set("status", f"{driver} is on the way to {delivery.drop_off.name}")
        await _arrival(ctx, driver, delivery.drop_off)
    except TerminalError:  # the order was cancelled after all: the driver is free again
        ctx.object_send(release, key=CITY, arg=ctx.key())
        raise
    ctx.set("status", f"delivered by {driver}")
    ctx.object_send(release, key=CITY, arg=ctx.key())
    return driver


async def _arrival(ctx: restate.ObjectContext, driver: str, place: Place) -> None:
    callback, arrived = ctx.awakeable(type_hint=str)
    ctx.object_send(drive_to, key=driver, arg=Stop(place.location, callback))
    await arrived
