"""Every attack, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from attacks.attack import Attack, nothing
from attacks.cases import (
    batches,
    cancels,
    dead_letters,
    floods,
    hand_backs,
    headers,
    outcomes,
    ports,
    settings,
    tasks,
    transactions,
    turned_bad,
    values,
)

ATTACKS: Final = (
    Attack(name="nothing", does="the good calls alone, for comparison", write=nothing),
    *batches.ATTACKS,
    *headers.ATTACKS,
    *values.ATTACKS,
    *floods.ATTACKS,
    *tasks.ATTACKS,
    *hand_backs.ATTACKS,
    *cancels.ATTACKS,
    *dead_letters.ATTACKS,
    *outcomes.ATTACKS,
    *transactions.ATTACKS,
    *turned_bad.ATTACKS,
    *ports.ATTACKS,
    *settings.ATTACKS,
)


class UnknownAttackError(Exception):
    """No attack has this name."""


def choose(names: Sequence[str], *, short: bool = False) -> tuple[Attack, ...]:
    """The attacks of these names, those of the short run, or all.

    Raises:
        UnknownAttackError: there is none of such a name.
    """
    known = {attack.name: attack for attack in ATTACKS}
    for name in names:
        if name not in known:
            raise UnknownAttackError(f"there is no attack {name!r}; there are: {', '.join(known)}")
    if names:
        return tuple(known[name] for name in dict.fromkeys(names))
    return tuple(attack for attack in ATTACKS if attack.short or not short)
