"""Keys, tokens and passwords show nowhere: not in verbose logs, not in errors, not in a repr."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import sys
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.bridge.environment import ResultsTopic

from kallback.bridge import BridgeOptions
from kallback.protocol import Keyring
from kallback.settings import KafkaSecurity, KeySettings, SaslMechanism, Secret, SecurityProtocol
from kallback.testing.polling import eventually

pytestmark = pytest.mark.integration

KEY = base64.b64encode(hashlib.sha256(b"one").digest()).decode()
AUTH, PASSWORD = "restate-cloud-secret", "kafka-password-secret"


async def run(results: ResultsTopic, *, until: Any = None, **variables: str) -> str:
    """Run a bridge process that logs all it can, until something holds or it ends; what it said."""
    settings = results.settings
    environment = {
        **os.environ,
        "KALLBACK_KEYS": f"k1:{KEY}",
        "KALLBACK_KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KALLBACK_KAFKA_CONNECT_TIMEOUT": "3",
        "KALLBACK_RESTATE_INGRESS_URL": settings.restate.ingress_url,
        "KALLBACK_RESTATE_ADMIN_URL": settings.restate.admin_url,
        "KALLBACK_RESTATE_AUTH_TOKEN": AUTH,
        "KALLBACK_TOPICS_PREFIX": settings.topics.prefix,
        **variables,
    }
    command = (sys.executable, "-m", "kallback.cli", "bridge", "-v", "--outcomes", "--allow-bare-awakeables")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
    said = asyncio.create_task(process.communicate())
    try:
        if until is not None:
            await eventually("the end of the test", until)
            process.terminate()
        out, err = await asyncio.wait_for(asyncio.shield(said), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await said
    return (out + err).decode()


async def test_verbose_logs_hold_no_secret(results: ResultsTopic) -> None:
    """Whatever becomes of the records: delivered, unverified, unusable, late, refused."""
    bare = results.token().awakeable_id
    tokens = [
        results.sign(),
        results.sign(results.token(deadline=-60)),
        results.sign(keyring=Keyring({"k9": b"9" * 32})),
        results.sign(),
    ]
    for text in tokens[:3]:
        await results.complete(text)
    await results.complete(tokens[3], b"oops")
    await results.complete(bare, b"oops")

    async def settled() -> bool:
        return len(await results.read(results.settings.topics.outcomes)) == 5

    said = await run(results, until=settled)
    assert "result dead-lettered" in said
    for secret in (KEY, AUTH, bare, *(text.rpartition(":")[2] for text in tokens)):
        assert secret not in said


async def test_a_refused_log_in_does_not_repeat_the_password(results: ResultsTopic) -> None:
    """Neither does the librdkafka configuration show."""
    said = await run(
        results,
        KALLBACK_KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT",
        KALLBACK_KAFKA_SASL_MECHANISM="PLAIN",
        KALLBACK_KAFKA_SASL_USERNAME="alice",
        KALLBACK_KAFKA_SASL_PASSWORD=PASSWORD,
    )
    assert said.strip()
    assert PASSWORD not in said


async def test_nothing_that_a_bridge_shows_of_itself_holds_a_secret(results: ResultsTopic) -> None:
    """Settings, options, stats, and what listeners are told."""
    text = results.sign()
    security = KafkaSecurity(
        protocol=SecurityProtocol.SASL_SSL,
        mechanism=SaslMechanism.PLAIN,
        username="alice",
        password=Secret(PASSWORD),
    )
    settings = replace(
        results.settings,
        kafka=replace(results.settings.kafka, security=security),
        restate=replace(results.settings.restate, auth_token=Secret(AUTH)),
        keys=KeySettings(keyring=Keyring({"k1": hashlib.sha256(b"one").digest()})),
    )
    await results.complete(text)
    async with results.bridge() as bridge:
        await results.settle(1)
        shown = repr((settings, BridgeOptions(), bridge.stats, bridge.backlog(), results.settled, bridge))

    for secret in (PASSWORD, AUTH, KEY, repr(hashlib.sha256(b"one").digest()), text.rpartition(":")[2]):
        assert secret not in shown
