"""One attack, as the tables of `cases` have it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from attacks.attacker import Attacker
from attacks.evidence import Evidence
from attacks.verdicts import Bounds

Write = Callable[[Attacker], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One attack.

    Attributes:
        name: as it is typed; also the prefix of its topics.
        does: one sentence.
        write: what the attacker does.
        bounds: what it may cost.
        evidence: counters that show that its records reach the code that they aim at.
        client: the worker's Kafka client.
        bridge_client: the bridge's.
        topic_options: Kafka's options of every topic.
        work_s: seconds that the work of a good call takes.
        restart: whether bridge and worker are started again behind it, and read what still lies there.
        short: whether it belongs to the short run.
    """

    name: str
    does: str
    write: Write
    bounds: Bounds = field(default_factory=Bounds)
    evidence: tuple[Evidence, ...] = ()
    client: str = "aiokafka"
    bridge_client: str = "confluent"
    topic_options: Mapping[str, str] = field(default_factory=dict[str, str])
    work_s: float = 0.02
    restart: bool = False
    short: bool = False


RESTARTED = Bounds(wait_s=20.0)
"""Good calls wait while bridge and worker start again."""
MUCH_TO_READ = Bounds(wait_s=15.0)
"""A task waits until what lies before it in its partition is read: 1.8 GB, unfolded."""
UNFOLDED = Bounds(bridge_mib=250.0, worker_mib=250.0)
"""librdkafka has all batches of a response in memory at once, and decompresses gzip, snappy and lz4 without a bound."""
UNFOLDED_WHOLE = Bounds(bridge_mib=900.0, worker_mib=900.0)
"""One value of 300 or 400 MB, of which librdkafka has two copies."""


async def nothing(_: Attacker) -> None:
    """Write nothing."""
