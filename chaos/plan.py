"""What a run does and when: tasks and faults, from a seed alone. Pure, so a seed can be played again.

What is planned is repeated exactly; how the processes interleave is up to the machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from chaos.work import NEVER, Job, Kind

SHARES: Final = {
    Kind.FAILING: 0.05,
    Kind.SLOW: 0.02,
    Kind.LARGE: 0.001,
    Kind.DUPLICATED: 0.01,
    Kind.FORGED: 0.01,
    Kind.MALFORMED: 0.01,
    Kind.LONG: 0.02,
    Kind.CANCELLED: 0.01,
    Kind.PROCESS: 0.02,
    Kind.PROCESS_CANCELLED: 0.01,
    Kind.LATE: 0.01,
}
"""Parts of all tasks; of each kind there is one at least."""
SHORT_TIMEOUT: Final = 4.0
"""Seconds; long enough to publish a task on a busy machine."""
SLOW_WORK: Final = 10.0
LONG_WORK: Final = 6.0
CANCELLED_WORK: Final = 30.0
"""Seconds; longer than an outage that delays the cancel."""
_LENGTHS: Final = {
    Kind.SLOW: SLOW_WORK,
    Kind.LONG: LONG_WORK,
    Kind.CANCELLED: CANCELLED_WORK,
    Kind.PROCESS_CANCELLED: CANCELLED_WORK,
}
SESSION_TIMEOUT: Final = 6.0
"""Seconds: the shortest that a broker allows by default."""
REQUEST_TIMEOUT: Final = 3.0
"""Seconds after which a bridge gives up a request to Restate: a completion that hangs times out within a run."""
HANG: Final = 8.0
"""Seconds for which Restate hangs while a backlog is written and bridges scale."""
PARTITIONS: Final = 4
"""Of each topic of the first team that is read by a group."""
BACKLOG_RECORDS: Final = 2_800
"""More than a bridge holds of all partitions: it pauses each at 500 records."""
BACKLOG_BYTES: Final = 1_000
DRAIN_TIMEOUT: Final = 2.0
"""Seconds that a worker gets at a stop: shorter than long tasks, so that it hands them back."""
SECOND_RATE: Final = 1.0
"""Tasks a second of the second team; every other one is long."""
WARM_UP: Final = 3.0
BRIDGES: Final = 3
_GAP: Final = (2.0, 4.0)
_QUIET_END: Final = 2.0
_LATE_TAIL: Final = 5.0


class Action(StrEnum):
    """What is done to a process."""

    KILL = "kill -9"
    PAUSE = "SIGSTOP"
    SCALE = "scale"
    DEPLOY = "deploy"


class Target(StrEnum):
    """What it is done to."""

    BRIDGE = "bridge"
    WORKER = "worker"
    SERVICE = "service"
    SECOND_WORKER = "second team's worker"
    RESTATE = "restate"
    BROKER = "broker"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong on purpose.

    Attributes:
        at: seconds after the first task.
        seconds: how long it lasts; of a deployment, how long its processes stay away together, about.
        pick: which of several processes, counted round those that run; of a scaling, how many are to run.
    """

    at: float
    action: Action
    target: Target
    seconds: float = 0.0
    pick: int = 0

    def __str__(self) -> str:
        if self.action is Action.SCALE:
            return f"{self.at:6.1f} s  scale to {self.pick} bridges"
        if self.action is Action.DEPLOY:
            return f"{self.at:6.1f} s  deploy {self.target}: stop and start one after the other"
        return f"{self.at:6.1f} s  {self.action} {self.target} for {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class Backlog:
    """Results that are written at once while Restate hangs and bridges scale from one to two and back.

    Attributes:
        at: seconds after the first task.
        records: how many, over all partitions.
        value_bytes: of each.
    """

    at: float
    records: int = BACKLOG_RECORDS
    value_bytes: int = BACKLOG_BYTES

    def __str__(self) -> str:
        return f"{self.at:6.1f} s  a backlog of {self.records} results of {self.value_bytes} bytes"


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run.

    Attributes:
        seconds: how long tasks are placed.
        jobs: the tasks, in the order in which they are placed, evenly over those seconds.
        backlog: what is written besides.
        second_jobs: tasks of the second team, placed at `SECOND_RATE`.
    """

    seed: int
    seconds: float
    rate: float
    jobs: tuple[Job, ...]
    faults: tuple[Fault, ...]
    backlog: Backlog
    second_jobs: tuple[Job, ...] = ()

    @property
    def completer(self) -> str:
        """How bridges reach Restate: NotifierService with odd seeds."""
        return "notifier" if self.seed % 2 else "ingress"

    @property
    def named(self) -> bool:
        """Whether bridges have instance ids: with two seeds of four, so that both completers meet both."""
        return self.seed // 2 % 2 == 1

    @property
    def command(self) -> str:
        """What plays this plan again."""
        return f"python -m chaos --seed {self.seed} --seconds {self.seconds:g} --tasks-per-second {self.rate:g}"


def make_plan(seed: int, *, seconds: float, rate: float) -> Plan:
    """Draw a plan."""
    jobs = _jobs(Random(f"jobs {seed}"), seconds=seconds, rate=rate)  # noqa: S311 - a seed makes it repeatable
    random = Random(f"faults {seed}")  # noqa: S311
    hang = round(max(WARM_UP, seconds * random.uniform(0.05, 0.2)), 1)
    faults = (*_faults(random, seconds, hang), _loss_of_second_team(Random(f"second team {seed}"), seconds))  # noqa: S311
    backlog = Backlog(round(hang + 0.5, 1))
    return Plan(seed, seconds, rate, jobs, tuple(sorted(faults, key=_when)), backlog, _second_jobs(seconds))


def _when(fault: Fault) -> float:
    return fault.at


def _second_jobs(seconds: float) -> tuple[Job, ...]:
    """Plain and long tasks in turn, as many as fit."""
    count = max(2, int(seconds * SECOND_RATE))
    kinds = [Kind.LONG if number % 2 else Kind.PLAIN for number in range(count)]
    return tuple(Job(number, kind, NEVER, _LENGTHS.get(kind, 0.1)) for number, kind in enumerate(kinds))


def _loss_of_second_team(random: Random, seconds: float) -> Fault:
    """The second team's one worker dies in the middle of a long task."""
    at = round(seconds * random.uniform(0.2, 0.6), 1)
    return Fault(at, Action.KILL, Target.SECOND_WORKER, round(random.uniform(0.5, 3.0), 1))


def _jobs(random: Random, *, seconds: float, rate: float) -> tuple[Job, ...]:
    count = max(int(seconds * rate), 10 * len(SHARES))
    early = int(count * max(seconds - _LATE_TAIL, seconds / 3) / seconds)
    kinds: dict[int, Kind] = {}
    for kind in (Kind.LATE, *SHARES):
        wanted = max(1, round(SHARES[kind] * count)) - sum(each is kind for each in kinds.values())
        numbers = [number for number in range(early if kind is Kind.LATE else count) if number not in kinds]
        kinds |= dict.fromkeys(random.sample(numbers, min(wanted, len(numbers))), kind)
    return tuple(_job(number, kinds.get(number, Kind.PLAIN), random) for number in range(count))


def _job(number: int, kind: Kind, random: Random) -> Job:
    timeout = SHORT_TIMEOUT if kind in {Kind.SLOW, Kind.LATE} else NEVER
    work = _LENGTHS.get(kind) or round(random.uniform(0.01, 0.2), 3)
    return Job(number, kind, timeout, work)


FaultKind = tuple[Action, Target, tuple[float, float]]
_COMPANIONS: Final[tuple[FaultKind, ...]] = (
    (Action.KILL, Target.BRIDGE, (0.2, 2.0)),
    (Action.KILL, Target.WORKER, (0.2, 2.0)),
    (Action.KILL, Target.SERVICE, (0.2, 2.0)),
)
_SERVERS: Final[tuple[FaultKind, ...]] = (
    (Action.KILL, Target.RESTATE, (2.0, 5.0)),
    (Action.KILL, Target.BROKER, (1.0, 3.0)),
)
_FREEZES: Final[tuple[FaultKind, ...]] = (
    (Action.PAUSE, Target.RESTATE, (REQUEST_TIMEOUT + 1, REQUEST_TIMEOUT + 3)),
    (Action.PAUSE, Target.BRIDGE, (SESSION_TIMEOUT + 2, SESSION_TIMEOUT + 4)),
    (Action.PAUSE, Target.WORKER, (SESSION_TIMEOUT + 2, SESSION_TIMEOUT + 4)),
)
_DEPLOYMENTS: Final[tuple[FaultKind, ...]] = (
    (Action.DEPLOY, Target.BRIDGE, (4.0, 6.0)),
    (Action.DEPLOY, Target.WORKER, (2 * DRAIN_TIMEOUT, 3 * DRAIN_TIMEOUT)),
    (Action.DEPLOY, Target.SERVICE, (2.0, 3.0)),
)
_FAULT_KINDS: Final = (*_COMPANIONS, *_SERVERS, *_FREEZES, *_DEPLOYMENTS)
_SCALE_OUT: Final = 3.0
"""Seconds after Restate began to hang: the first bridge holds all it can by then."""
_SCALE_IN: Final = 7.0
"""Seconds after that beginning: the second bridge has its share by then, and Restate still hangs."""
_RECOVERY: Final = {Target.BROKER: 8.0, Target.RESTATE: 3.0}
"""Seconds until a target may be hit again; 2 for the others."""


def _faults(random: Random, seconds: float, hang: float) -> tuple[Fault, ...]:
    """Draw faults in random order, each kind once before any comes again; a killed server is not killed alone.

    Those of Restate, broker and bridges come after the backlog is over.
    """
    scaled = hang + _SCALE_IN + SESSION_TIMEOUT  # named members are missed only then
    scheduler = _FaultScheduler(
        random, {Target.RESTATE: hang + HANG, Target.BROKER: hang + HANG, Target.BRIDGE: scaled + 2}
    )
    kinds_left: list[FaultKind] = []
    now = WARM_UP + random.uniform(0, 1)
    while now < seconds - _QUIET_END:
        kinds_left = kinds_left or random.sample(_FAULT_KINDS, len(_FAULT_KINDS))
        if (kind := scheduler.schedule(kinds_left, now)) is not None:
            kinds_left.remove(kind)
        if kind in _SERVERS:
            scheduler.schedule(random.sample(_COMPANIONS, len(_COMPANIONS)), now + random.uniform(0.5, 1.5))
        now += random.uniform(*_GAP)
    out = round(max(scaled + 1, seconds * random.uniform(0.5, 0.7)), 1)
    planned = [
        Fault(hang, Action.PAUSE, Target.RESTATE, HANG),
        Fault(round(hang + _SCALE_OUT, 1), Action.SCALE, Target.BRIDGE, pick=2),
        Fault(round(hang + _SCALE_IN, 1), Action.SCALE, Target.BRIDGE, pick=1),
        Fault(out, Action.SCALE, Target.BRIDGE, pick=BRIDGES),
        Fault(round(max(out + 2, seconds * random.uniform(0.75, 0.9)), 1), Action.SCALE, Target.BRIDGE, pick=2),
    ]
    return tuple(sorted([*scheduler.faults, *planned], key=_when))


class _FaultScheduler:
    """Turns kinds into faults, never two on one kind of process at a time.

    Args:
        free: when the first fault of a target may come; at once if it is not in there.
    """

    def __init__(self, random: Random, free: Mapping[Target, float]) -> None:
        self._random = random
        self._free = {target: free.get(target, 0.0) for target in Target}
        self.faults: list[Fault] = []

    def schedule(self, kinds: Sequence[FaultKind], at: float) -> FaultKind | None:
        """Add a fault of the first kind whose target is free then; return None if there is none."""
        kind = next((kind for kind in kinds if self._free[kind[1]] <= at), None)
        if kind is not None:
            action, target, (least, most) = kind
            lasting = round(self._random.uniform(least, most), 1)
            self.faults.append(Fault(round(at, 1), action, target, lasting, self._random.randrange(BRIDGES)))
            self._free[target] = at + lasting + _RECOVERY.get(target, 2.0)
        return kind
