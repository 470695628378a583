"""A crash in the middle of a rebalance must leave no partition without an owner."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kallback.kafka import OutgoingRecord
from kallback.testing.servers.processes import ChildProcess

if TYPE_CHECKING:
    from tests.integration.kafka.labs import RealLab

pytestmark = pytest.mark.integration

PARTITIONS = 4
MEMBER = Path(__file__).with_name("member_that_dies.py")


@pytest.mark.parametrize("lab", ["confluent"], indirect=True)
async def test_a_named_member_that_dies_while_it_gives_partitions_away(lab: RealLab, tmp_path: Path) -> None:
    """Its successor of the same name and the newcomer own every partition between them.

    The broker lets a named member come back into its last assignment without a rebalance. With cooperative
    assignment that was a half-made one: what the dead member had just given up belonged to nobody, for good.
    """
    topic, group = lab.topic(PARTITIONS), lab.new_group()
    await _send_everywhere(lab, topic)
    log = tmp_path / "one.log"
    command = [sys.executable, str(MEMBER), lab.settings.bootstrap_servers, topic, group, "one"]
    dying = ChildProcess("one", command, log=log)
    dying.start()
    try:
        await lab.until(lambda: f"taken {PARTITIONS}" in log.read_text(), "the first member to hold every partition")
        newcomer = await lab.consumer(topic, group, dataclasses.replace(lab.quiet, group_instance_id="two"))
        await lab.until(lambda: "giving away" in log.read_text(), "the first member to wait for its records")
    finally:
        dying.kill()
    successor = await lab.consumer(topic, group, dataclasses.replace(lab.quiet, group_instance_id="one"))

    def owned() -> int:
        return len(newcomer.assignment() | successor.assignment())

    await lab.until(lambda: owned() == PARTITIONS, "every partition to have an owner")


async def _send_everywhere(lab: RealLab, topic: str) -> None:
    producer = await lab.producer()
    for number in range(20 * PARTITIONS):
        await producer.send(OutgoingRecord(topic, b"x", str(number).encode()))
