"""How seldom the commands that run for long collect garbage."""

from __future__ import annotations

import gc

from kallback.cli.garbage import collect_garbage_seldom


def test_collections_are_seldom_and_leave_the_modules_out() -> None:
    """Those that there are find garbage as before."""
    gc.set_threshold(700, 10, 10)
    collect_garbage_seldom()
    assert gc.get_threshold() == (10_000, 10, 10)
    assert gc.get_freeze_count() > 0
    assert gc.isenabled()


def test_a_threshold_that_a_worker_has_chosen_is_kept() -> None:
    """Its module is imported first, and knows what its functions leave behind."""
    gc.set_threshold(300, 5, 5)
    collect_garbage_seldom()
    assert gc.get_threshold() == (300, 5, 5)
