"""What a run does and when: tasks and faults, from a seed alone. Pure, so a seed can be played again.

What is planned is repeated exactly; how the processes interleave is up to the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    Kind.LATE: 0.01,
}
"""Parts of all tasks; of each kind there is one at least."""
SHORT_TIMEOUT: Final = 4.0
"""Seconds; long enough to publish a task on a busy machine."""
SLOW_WORK: Final = 10.0
LONG_WORK: Final = 6.0
_LENGTHS: Final = {Kind.SLOW: SLOW_WORK, Kind.LONG: LONG_WORK, Kind.CANCELLED: SLOW_WORK}
SESSION_TIMEOUT: Final = 6.0
"""Seconds: the shortest that a broker allows by default."""
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


class Target(StrEnum):
    """What it is done to."""

    BRIDGE = "bridge"
    WORKER = "worker"
    SERVICE = "service"
    RESTATE = "restate"
    BROKER = "broker"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong on purpose.

    Attributes:
        at: seconds after the first task.
        seconds: how long it lasts.
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
        return f"{self.at:6.1f} s  {self.action} {self.target} for {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run.

    Attributes:
        seconds: how long tasks are placed.
        jobs: the tasks, in the order in which they are placed, evenly over those seconds.
    """

    seed: int
    seconds: float
    rate: float
    jobs: tuple[Job, ...]
    faults: tuple[Fault, ...]

    def placed_at(self, number: int) -> float:
        """When a task is placed, in seconds after the first."""
        return number / self.rate

    @property
    def completer(self) -> str:
        """How bridges reach Restate: one way or the other, turn about."""
        return "notifier" if self.seed % 2 else "ingress"

    @property
    def command(self) -> str:
        """What plays this plan again."""
        return f"python -m chaos --seed {self.seed} --seconds {self.seconds:g} --tasks-per-second {self.rate:g}"


def make_plan(seed: int, *, seconds: float, rate: float) -> Plan:
    """Draw a plan."""
    jobs = _jobs(Random(f"jobs {seed}"), seconds=seconds, rate=rate)  # noqa: S311 - chance that can be repeated
    faults = _faults(Random(f"faults {seed}"), seconds)  # noqa: S311
    return Plan(seed, seconds, rate, jobs, faults)


def _jobs(chance: Random, *, seconds: float, rate: float) -> tuple[Job, ...]:
    count = max(int(seconds * rate), 10 * len(SHARES))
    early = int(count * max(seconds - _LATE_TAIL, seconds / 3) / seconds)
    kinds: dict[int, Kind] = {}
    for kind in (Kind.LATE, *SHARES):
        wanted = max(1, round(SHARES[kind] * count)) - sum(each is kind for each in kinds.values())
        numbers = [number for number in range(early if kind is Kind.LATE else count) if number not in kinds]
        kinds |= dict.fromkeys(chance.sample(numbers, min(wanted, len(numbers))), kind)
    return tuple(_job(number, kinds.get(number, Kind.PLAIN), chance) for number in range(count))


def _job(number: int, kind: Kind, chance: Random) -> Job:
    timeout = SHORT_TIMEOUT if kind in {Kind.SLOW, Kind.LATE} else NEVER
    work = _LENGTHS.get(kind) or round(chance.uniform(0.01, 0.2), 3)
    return Job(number, kind, timeout, work)


Card = tuple[Action, Target, tuple[float, float]]
_COMPANIONS: Final[tuple[Card, ...]] = (
    (Action.KILL, Target.BRIDGE, (0.2, 2.0)),
    (Action.KILL, Target.WORKER, (0.2, 2.0)),
    (Action.KILL, Target.SERVICE, (0.2, 2.0)),
)
_SERVERS: Final[tuple[Card, ...]] = (
    (Action.KILL, Target.RESTATE, (2.0, 5.0)),
    (Action.KILL, Target.BROKER, (1.0, 3.0)),
)
_FREEZES: Final[tuple[Card, ...]] = (
    (Action.PAUSE, Target.BRIDGE, (SESSION_TIMEOUT + 2, SESSION_TIMEOUT + 4)),
    (Action.PAUSE, Target.WORKER, (SESSION_TIMEOUT + 2, SESSION_TIMEOUT + 4)),
)
_DECK: Final = (*_COMPANIONS, *_SERVERS, *_FREEZES)
_RECOVERY: Final = {Target.BROKER: 8.0, Target.RESTATE: 3.0}
"""Seconds until a target may be hit again; 2 for the others."""


def _faults(chance: Random, seconds: float) -> tuple[Fault, ...]:
    """Deal faults from a shuffled deck, so that each comes round; a dying server has company."""
    dealer = _Dealer(chance)
    deck: list[Card] = []
    now = WARM_UP + chance.uniform(0, 1)
    while now < seconds - _QUIET_END:
        deck = deck or chance.sample(_DECK, len(_DECK))
        if (card := dealer.deal(deck, now)) is not None:
            deck.remove(card)
        if card in _SERVERS:
            dealer.deal(chance.sample(_COMPANIONS, len(_COMPANIONS)), now + chance.uniform(0.5, 1.5))
        now += chance.uniform(*_GAP)
    scaling = [
        Fault(round(seconds * chance.uniform(0.15, 0.3), 1), Action.SCALE, Target.BRIDGE, pick=BRIDGES),
        Fault(round(seconds * chance.uniform(0.65, 0.8), 1), Action.SCALE, Target.BRIDGE, pick=2),
    ]
    return tuple(sorted([*dealer.faults, *scaling], key=lambda fault: fault.at))


class _Dealer:
    """Turns cards into faults, never two on one kind of process at a time."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._free: dict[Target, float] = dict.fromkeys(Target, 0.0)
        self.faults: list[Fault] = []

    def deal(self, cards: Sequence[Card], at: float) -> Card | None:
        """Play the first card whose target is free then; None if there is none."""
        card = next((card for card in cards if self._free[card[1]] <= at), None)
        if card is not None:
            action, target, (least, most) = card
            lasting = round(self._chance.uniform(least, most), 1)
            self.faults.append(Fault(round(at, 1), action, target, lasting, self._chance.randrange(BRIDGES)))
            self._free[target] = at + lasting + _RECOVERY.get(target, 2.0)
        return card
