"""Which name a bridge has in its group. Pure.

A name that outlives the process lets a crashed bridge take its partitions back at once. A name that does not is worse
than none: its owner cannot say goodbye (members with a name never leave, they are waited for), so each roll-out would
halt its partitions for a session time-out. And one name for two bridges makes the younger throw out the older.

So `auto` takes the host name only where Kubernetes promises that it is unique and comes back: a StatefulSet's pods end
in an ordinal (`bridge-0`), a Deployment's in five random characters.
"""

from __future__ import annotations

import re
from typing import Final

from kallback.protocol import ConfigurationError

AUTO: Final = "auto"
NONE: Final = "none"
_STATEFUL: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?-\d{1,4}", re.ASCII)
_LEGAL: Final = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)


def instance_id_for(choice: str, *, hostname: str, in_kubernetes: bool) -> str | None:
    """Return the instance id, or None for a member without one.

    Raises:
        ConfigurationError: Kafka takes no such name.
    """
    if choice == NONE:
        return None
    if choice == AUTO:
        return hostname if in_kubernetes and _STATEFUL.fullmatch(hostname) else None
    if _LEGAL.fullmatch(choice) is None or choice in (".", ".."):
        raise ConfigurationError(
            f"--instance-id {choice!r} is no name that Kafka takes: use letters, digits, dots, dashes and underscores"
        )
    return choice
