"""The drivers' phones, simulated: each asks where to go, drives there, and reports its location to Kafka."""

from __future__ import annotations

import asyncio

import httpx
import msgspec
from tasks import Location

from kallback.kafka import AiokafkaProducer, OutgoingRecord, Producer
from kallback.settings import Settings

CITY = "Berlin"
DRIVERS = ("Aylin", "Ben", "Chiara", "Deniz", "Emil", "Frieda")
GARAGE = Location(52.5200, 13.4050)
TICK = 0.25  # seconds between two reports
PACE = 0.012  # degrees per tick: a demo is short


async def main() -> None:
    """Start every driver's shift and let them drive until the process ends."""
    settings = Settings.from_env()
    async with (
        AiokafkaProducer(settings.kafka) as producer,
        httpx.AsyncClient(base_url=settings.restate.ingress_url, timeout=30) as restate,
        asyncio.TaskGroup() as shifts,
    ):
        for driver in DRIVERS:
            shifts.create_task(_shift(driver, restate, producer))


async def _shift(driver: str, restate: httpx.AsyncClient, producer: Producer) -> None:
    started = await restate.post(
        f"/DriverMatcher/{CITY}/driver_available", json=driver, headers={"idempotency-key": f"shift of {driver}"}
    )
    started.raise_for_status()
    here = GARAGE
    while True:
        answer = await restate.post(f"/DriverDigitalTwin/{driver}/next_stop")
        if answer.is_success and answer.content:
            here = _towards(msgspec.json.decode(answer.content, type=Location), here)
            report = OutgoingRecord("driver-updates", msgspec.json.encode(here), key=driver.encode())
            await producer.send(report)
        await asyncio.sleep(TICK)


def _towards(stop: Location, here: Location) -> Location:
    north, east = stop.latitude - here.latitude, stop.longitude - here.longitude
    ticks_left = max(abs(north), abs(east)) / PACE
    if ticks_left <= 1:
        return stop
    return Location(here.latitude + north / ticks_left, here.longitude + east / ticks_left)


if __name__ == "__main__":
    asyncio.run(main())
