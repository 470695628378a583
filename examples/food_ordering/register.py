"""Tells Restate where the services are, and which topic has the drivers' locations. Doing it twice changes nothing."""

from __future__ import annotations

import json
import os

import httpx

from kallback.settings import Settings

SERVICES = os.environ.get("SERVICES_URL", "http://services:9080")
CLUSTER = "food"
LOCATIONS = f"kafka://{CLUSTER}/driver-updates"
PROPERTIES = json.loads(os.environ.get("RESTATE_KAFKA_PROPERTIES", "{}"))  # how Restate logs in to Kafka
GROUP = {"group.id": "restate.driver-updates", "session.timeout.ms": "6000"}  # not 45 s of nothing after a crash
SINK = "service://DriverDigitalTwin/location_update"


def main() -> None:
    """Register everything."""
    settings = Settings.from_env()
    properties = {"bootstrap.servers": settings.kafka.bootstrap_servers} | PROPERTIES
    with httpx.Client(base_url=settings.restate.admin_url, timeout=30) as admin:
        admin.post("/deployments", json={"uri": SERVICES, "force": True}).raise_for_status()
        if all(each["source"] != LOCATIONS for each in admin.get("/subscriptions").json()["subscriptions"]):
            admin.post("/kafka-clusters", json={"name": CLUSTER, "properties": properties}).raise_for_status()
            admin.post("/subscriptions", json={"source": LOCATIONS, "sink": SINK, "options": GROUP}).raise_for_status()
    print(f"Restate knows {SERVICES} and reads {LOCATIONS}")


if __name__ == "__main__":
    main()
