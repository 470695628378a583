"""Asks the doctor, as its command does."""

from __future__ import annotations

from tests.integration.operations.conftest import Shop

from kallback import kafka
from kallback.kafka import ConfluentReader
from kallback.operations import Introspection
from kallback.operations.doctor import Examination, Finding, Sources, service_check, withdraw
from kallback.operations.doctor.permissions import groups_of, seen_topics


async def findings_of(shop: Shop, introspection: Introspection, target: str) -> list[Finding]:
    """What it says of a task type or a task."""
    sources = Sources(
        introspection,
        topics=lambda: seen_topics(shop.settings),
        groups=lambda topic: groups_of(shop.settings, topic),
        find=lambda at: kafka.find_record(shop.settings.kafka, at),
        reader=lambda topic, since_ms: ConfluentReader(shop.settings.kafka, topic, since_ms=since_ms),
        services=service_check(shop.settings),
        withdraw=lambda keys: withdraw(introspection, keys),
        deployments=introspection.deployments,
    )
    return [each async for each in Examination(sources, shop.settings).run(target)]
