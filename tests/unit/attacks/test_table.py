"""Attacks are chosen by name, and their bounds are those that we promise."""

from __future__ import annotations

import pytest
from attacks.table import ATTACKS, UnknownAttackError, choose


def test_names_are_unique() -> None:
    """A name is what is typed to run an attack."""
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_names_choose_attacks() -> None:
    """In the order in which they are given, each once."""
    assert [attack.name for attack in choose(["huge-ids", "nothing", "huge-ids"])] == ["huge-ids", "nothing"]


def test_without_names_all_are_chosen_or_those_of_the_short_run() -> None:
    """The short run is a part."""
    assert choose([]) == ATTACKS
    assert 0 < len(choose([], short=True)) < len(ATTACKS)


def test_an_unknown_name_is_refused() -> None:
    """The error names what there is."""
    with pytest.raises(UnknownAttackError, match="huge-ids"):
        choose(["huge"])


def test_memory_is_bounded_alike_in_every_attack() -> None:
    """150 MiB for a bridge, 120 MiB for a worker, 50 ms for one callback."""
    assert {(each.bounds.bridge_mib, each.bounds.worker_mib, each.bounds.held_ms) for each in ATTACKS} == {
        (150.0, 120.0, 50.0)
    }
