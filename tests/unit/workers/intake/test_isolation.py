"""When a record at its last chance may run apart from others."""

from __future__ import annotations

from kallback.workers.intake.isolation import PROVEN_AFTER_S, Isolation, Step


def test_it_runs_at_once_when_nothing_else_runs() -> None:
    """There is nothing to wait for."""
    assert Isolation().step(0.0, []) is Step.RUN


def test_what_has_run_for_long_counts_as_proven() -> None:
    """It would have killed the process before: a task of days keeps no record waiting."""
    assert Isolation().step(0.0, [PROVEN_AFTER_S, 1e6]) is Step.RUN


def test_a_task_that_will_hardly_end_in_time_stops_no_others() -> None:
    """What has run for ten seconds is not expected to end within the next one."""
    isolation = Isolation()

    assert {isolation.step(now / 10, [10.0 + now / 10]) for now in range(50)} == {Step.WAIT}


def test_others_are_held_for_a_second_then_they_go_on() -> None:
    """And they are not held again at once."""
    isolation = Isolation()
    steps = [isolation.step(now / 10, [0.5 + now / 10]) for now in range(20)]

    assert steps[0] is Step.HOLD
    assert steps.index(Step.RESUME) == 10
    assert set(steps[11:]) == {Step.WAIT}


def test_it_runs_as_soon_as_the_others_have_ended() -> None:
    """Within the second for which new ones are held."""
    isolation = Isolation()
    isolation.step(0.0, [0.5])

    assert isolation.step(0.3, []) is Step.RUN


def test_it_runs_in_the_end_under_a_load_without_gaps() -> None:
    """Tasks of five seconds, the next one as soon as one ends: few of them are held, and the record has its turn."""
    isolation, now, held = Isolation(), 0.0, 0.0
    begun: list[float] = [0.0, -2.0, -4.0]
    holding = False
    while now < 3_600:
        step = isolation.step(now, [now - at for at in begun])
        if step is Step.RUN:
            break
        holding = step is Step.HOLD or (holding and step is not Step.RESUME)
        now += 0.05
        held += 0.05 if holding else 0.0
        ended = [at for at in begun if now - at >= 5]
        begun = [at for at in begun if now - at < 5] + ([] if holding else [now for _ in ended])
        if not holding:
            begun += [now] * (3 - len(begun))

    assert now < 600
    assert held < 0.2 * now
