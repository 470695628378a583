"""A plan follows from its seed, and leaves nothing out."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from chaos.plan import PARTITIONS, REQUEST_TIMEOUT, SESSION_TIMEOUT, SHARES, Action, Plan, Target, make_plan
from chaos.work import GRACE, Kind

from kallback.kafka import ConsumerOptions

SEEDS = range(20)


def a_plan(seed: int = 7) -> Plan:
    """A minute of 20 tasks a second."""
    return make_plan(seed, seconds=60, rate=20)


def test_a_seed_is_a_plan() -> None:
    """The same seed gives the same plan, another one another."""
    assert a_plan(7) == a_plan(7)
    assert a_plan(7).jobs != a_plan(8).jobs
    assert a_plan(7).faults != a_plan(8).faults


def test_kinds_have_their_shares() -> None:
    """1 % of duplicates is 1 %, and of each kind there is one at least."""
    kinds = Counter(job.kind for job in a_plan().jobs)
    assert {kind: kinds[kind] for kind in SHARES} == {
        Kind.FAILING: 60, Kind.SLOW: 24, Kind.LARGE: 1, Kind.DUPLICATED: 12, Kind.FORGED: 12, Kind.MALFORMED: 12,
        Kind.LONG: 24, Kind.CANCELLED: 12, Kind.PROCESS: 24, Kind.PROCESS_CANCELLED: 12, Kind.LATE: 12,
    }  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_every_fault_comes_round(seed: int) -> None:
    """A run of a minute kills every kind of process, freezes bridge and worker, and deploys what is ours."""
    done = {(fault.action, fault.target) for fault in a_plan(seed).faults}
    assert {(Action.DEPLOY, target) for target in (Target.BRIDGE, Target.WORKER, Target.SERVICE)} < done
    assert {(Action.KILL, target) for target in Target} < done
    frozen = {(Action.PAUSE, target) for target in (Target.BRIDGE, Target.WORKER, Target.RESTATE)}
    assert {*frozen, (Action.SCALE, Target.BRIDGE)} < done


@pytest.mark.parametrize("seconds", [30, 60, 180])
@pytest.mark.parametrize("seed", SEEDS)
def test_bridges_scale_from_one_to_two_and_back_while_a_backlog_hangs(seed: int, seconds: float) -> None:
    """Both rebalances meet partitions that are held full, because Restate answers nothing meanwhile."""
    plan = make_plan(seed, seconds=seconds, rate=20)
    scalings = [fault for fault in plan.faults if fault.action is Action.SCALE]
    hang = next(fault for fault in plan.faults if (fault.action, fault.target) == (Action.PAUSE, Target.RESTATE))
    assert [fault.pick for fault in scalings] == [2, 1, 3, 2]
    assert hang.at < plan.backlog.at < scalings[0].at < scalings[1].at < hang.at + hang.seconds
    assert hang.seconds > 2 * REQUEST_TIMEOUT


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_else_hits_bridges_until_the_backlog_is_drained(seed: int) -> None:
    """A bridge that is killed would forget what it has paused, and hide that a living one does."""
    plan = make_plan(seed, seconds=180, rate=20)
    back = next(fault.at for fault in plan.faults if fault.action is Action.SCALE and fault.pick == 1)
    hits = [fault.at for fault in plan.faults if fault.target is Target.BRIDGE and fault.action is not Action.SCALE]
    assert min(hits) > back + SESSION_TIMEOUT


def test_a_backlog_is_more_than_a_bridge_holds() -> None:
    """In each partition: the first bridge pauses all of them."""
    assert a_plan().backlog.records / PARTITIONS > ConsumerOptions().buffer_records


def test_four_seeds_try_each_completer_with_each_kind_of_member() -> None:
    """Named bridges share partitions by another protocol than those without a name."""
    assert {(a_plan(seed).completer, a_plan(seed).named) for seed in range(4)} == {
        ("ingress", False), ("notifier", False), ("ingress", True), ("notifier", True)
    }  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_one_kind_of_process_has_one_fault_at_a_time(seed: int) -> None:
    """A process that is frozen is not killed too: two faults would undo each other."""
    faults = [fault for fault in a_plan(seed).faults if fault.action is not Action.SCALE]
    assert all(
        earlier.at + earlier.seconds < later.at
        for earlier, later in combinations(faults, 2)
        if earlier.target is later.target
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_late_answers_come_before_the_drain_is_over(seed: int) -> None:
    """Late tasks are placed early: the grace must not make the run longer than it is."""
    plan = a_plan(seed)
    late = [job.number / plan.rate for job in plan.jobs if job.kind is Kind.LATE]
    assert max(late) <= plan.seconds - GRACE


def test_a_freeze_outlasts_the_session() -> None:
    """Only then does the group give the frozen member's partitions away."""
    members = {Target.BRIDGE, Target.WORKER}
    faults = [fault for seed in SEEDS for fault in a_plan(seed).faults if fault.target in members]
    frozen = [fault.seconds for fault in faults if fault.action is Action.PAUSE]
    assert min(frozen) > SESSION_TIMEOUT


def test_the_command_plays_it_again() -> None:
    """What a failure prints is what must be typed."""
    assert a_plan().command == "python -m chaos --seed 7 --seconds 60 --tasks-per-second 20"
