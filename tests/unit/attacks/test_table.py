"""Attacks are chosen by name, and their bounds are those that we promise."""

from __future__ import annotations

from pathlib import Path

import pytest
from attacks.table import ATTACKS, UnknownAttackError, choose

SECURITY = (Path(__file__).parents[3] / "SECURITY.md").read_text("utf-8")


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


def test_memory_is_bounded_alike_in_every_attack_but_for_known_limits() -> None:
    """150 MiB for a bridge, 120 MiB for a worker; SECURITY.md names the attacks with other bounds."""
    limits = SECURITY[SECURITY.index("## Known limits") :]
    others = {each.name for each in ATTACKS if (each.bounds.bridge_mib, each.bounds.worker_mib) != (150.0, 120.0)}
    assert {name for name in others if f"`{name}`" not in limits} == set()


def test_no_attack_may_hold_a_loop_for_longer_than_others() -> None:
    """50 ms for one callback."""
    assert {each.bounds.held_ms for each in ATTACKS} == {50.0}
