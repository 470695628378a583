"""One attack from start to measurement.

Bridge and worker are started for it, good calls begin, and what is measured begins with the attack. Afterwards every
position must reach the end, a restart may follow, and all open calls must be answered.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from attacks.attack import Attack
from attacks.attacker import Attacker
from attacks.calls import Calls
from attacks.evidence import Counters, counters_of, missing
from attacks.installation import Installation, opened
from attacks.measurements import GroupPositions, ProbeWatch, stored_bytes
from attacks.report import AttackResult
from attacks.verdicts import Measurement
from kallback.testing import Stack
from kallback.testing.servers.kafka import LocalKafka

_WARM_UP_S: Final = 3.0
_AFTER_S: Final = 2.0
_PATIENCE_S: Final = 60.0
_POLL_S: Final = 0.5


async def perform(attack: Attack, stack: Stack, directory: Path, limit_mib: int | None = None) -> AttackResult:
    """Run an attack; logs go to the directory, and bridge and worker have a limit of memory if one is given."""
    made = Installation(
        stack,
        attack.name,
        directory,
        client=attack.client,
        bridge_client=attack.bridge_client,
        topic_options=attack.topic_options,
        work_s=attack.work_s,
        limit_mib=limit_mib,
    )
    async with (
        opened(made) as installation,
        Attacker(installation) as attacker,
        _good_calls(stack) as calls,
        ProbeWatch(installation.programs) as probes,
    ):
        await asyncio.sleep(_WARM_UP_S)
        before = _stored(installation)
        counters = await _counters(installation)
        for measured in (calls, probes, *installation.programs):
            measured.forget_the_past()
        await attack.write(attacker)
        sent = sum((_stored(installation) - before)[topic] for topic in attacker.targets)
        settled = await _settle(installation, attack.bounds.settle_s)
        over = time.monotonic()
        missed = await _missed(attack, installation, counters)
        if attacker.targets and sent <= 0:
            missed.append("the attack missed its aim: nothing of it lies on the broker")
        if attack.restart:
            await installation.restart_programs()
        await asyncio.sleep(_AFTER_S)
        await calls.stop(_PATIENCE_S)
        grown = (_stored(installation) - before).total()
        holds = ((each.longest_hold(), each.name) for each in installation.programs)
        held_ms, held_by = max((hold.ms, f"{name}: {hold.what}") for hold, name in holds)
        found = Measurement(
            sent=sent,
            written=grown - sent,
            calls=calls.answered,
            wait_s=calls.longest_wait(),
            median_s=calls.median_wait(over),
            bridge_mib=installation.bridge.peak_mib(),
            worker_mib=installation.worker.peak_mib(),
            held_ms=held_ms,
            held_by=held_by,
            probe_s=probes.longest_wait(),
            log_lines=sum(program.log_lines() for program in installation.programs),
            settle_s=settled,
            lag_s=calls.lag_s,
            load=os.getloadavg()[0],
            trouble=(*attacker.findings, *missed, *_trouble(installation, calls)),
        )
    return AttackResult(attack.name, attack.bounds, found)


@asynccontextmanager
async def _good_calls(stack: Stack) -> AsyncGenerator[Calls]:
    calls = Calls(stack.ingress_url)
    await calls.start()
    try:
        yield calls
    finally:
        await calls.stop(0)


async def _settle(installation: Installation, patience: float) -> float | None:
    """Seconds until every group has read what lies there now; None if they do not get there."""
    began = time.monotonic()
    positions = await asyncio.to_thread(GroupPositions, installation.stack.bootstrap_servers, installation.groups)
    try:
        while time.monotonic() - began < patience:
            if not await asyncio.to_thread(positions.behind):
                return time.monotonic() - began
            await asyncio.sleep(_POLL_S)
        return None
    finally:
        positions.close()


def _stored(installation: Installation) -> Counter[str]:
    """Bytes of each topic on the broker; nothing is known of a Kafka that was not started here."""
    kafka = installation.stack.kafka
    if not isinstance(kafka, LocalKafka):
        return Counter()
    return stored_bytes(kafka.directory, (*installation.topics.all(), installation.tasks))


async def _missed(attack: Attack, installation: Installation, before: Counters) -> list[str]:
    """What the attack has not raised; a follower of the control topic commits nothing, and may come later."""
    ends = time.monotonic() + attack.bounds.settle_s
    while found := missing(attack.evidence, before, await _counters(installation)):
        if time.monotonic() > ends:
            return found
        await asyncio.sleep(_POLL_S)
    return []


async def _counters(installation: Installation) -> Counters:
    """The counters of all programs."""
    bridge, worker = await asyncio.gather(*(counters_of(program.port) for program in installation.programs))
    return {**bridge, **worker}


def _trouble(installation: Installation, calls: Calls) -> list[str]:
    """Calls that failed, each kind once, and programs that ended."""
    ended = [
        f"the {program.name} ended with exit code {program.exit_code}: {program.log_tail()}"
        for program in installation.programs
        if not program.running
    ]
    return [*ended, *(f"{count} calls: {failure}" for failure, count in Counter(calls.failures).items())]
