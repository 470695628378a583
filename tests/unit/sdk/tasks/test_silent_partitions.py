"""Which partitions the attempts after a loss avoid."""

from __future__ import annotations

from datetime import timedelta

from kallback.sdk.tasks.silent_partitions import SilentPartitions

FIRST, SECOND, THIRD = frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5})
AT_ONCE = timedelta(0)


def used(silent: SilentPartitions) -> set[int]:
    """The partitions of six to which an attempt can go."""
    return {silent.placement(turn).partition_of(6) for turn in range(6)}


def test_the_partitions_of_workers_that_died_together_are_avoided() -> None:
    """Within one session timeout none of them has a new owner."""
    silent = SilentPartitions()
    silent.lost(FIRST, AT_ONCE)
    silent.begin(1_000)
    silent.lost(SECOND, AT_ONCE)
    silent.begin(4_000)
    assert used(silent) == THIRD


def test_a_loss_is_forgotten_after_a_session_timeout() -> None:
    """Live workers own the partitions by then, and the record may have no other place that is read."""
    silent = SilentPartitions()
    silent.lost(FIRST, AT_ONCE)
    silent.begin(1_000)
    silent.lost(SECOND, AT_ONCE)
    silent.begin(46_000)
    assert used(silent) == FIRST | THIRD
    silent.begin(91_000)
    assert used(silent) == FIRST | SECOND | THIRD


def test_a_loss_before_a_long_delay_is_forgotten() -> None:
    """The delay of the policy counts."""
    silent = SilentPartitions()
    silent.lost(FIRST, timedelta(minutes=5))
    silent.begin(301_000)
    assert used(silent) == FIRST | SECOND | THIRD


def test_where_all_died_the_partitions_of_the_last_are_avoided() -> None:
    """Those of the first have new owners soonest."""
    silent = SilentPartitions()
    for at_ms, lost in enumerate((FIRST, SECOND, THIRD), start=1_000):
        silent.lost(lost, AT_ONCE)
        silent.begin(at_ms)
    assert used(silent) == FIRST | SECOND


def test_a_handed_back_attempt_ends_earlier_losses() -> None:
    """Its worker was in the group, so the partitions were assigned anew."""
    silent = SilentPartitions()
    silent.lost(FIRST, AT_ONCE)
    silent.begin(1_000)
    silent.handed_back(SECOND)
    silent.begin(2_000)
    assert used(silent) == FIRST | THIRD


def test_without_times_only_the_last_loss_counts() -> None:
    """Types without limits of attempts have no times in the journal."""
    silent = SilentPartitions()
    silent.handed_back(FIRST)
    silent.begin(None)
    assert used(silent) == SECOND | THIRD
    silent.begin(None)
    assert used(silent) == FIRST | SECOND | THIRD
