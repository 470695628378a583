"""The name of a bridge in its consumer group. Pure.

With a name that survives a restart, a crashed bridge gets its partitions back at once. A name that does not survive is
worse than none: members with a name never leave the group, so each rollout would block their partitions for a session
timeout. If two bridges have one name, Kafka removes the older one.

`auto` takes the host name only where Kubernetes guarantees that it is unique and stable: the pods of a StatefulSet end
in an ordinal (`bridge-0`), those of a Deployment in five random characters.
"""

from __future__ import annotations

import re
from typing import Final

from kallback.protocol import ConfigurationError
from kallback.protocol.tasktypes import is_kafka_name

AUTO: Final = "auto"
NONE: Final = "none"
_STATEFUL: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?-\d{1,4}", re.ASCII)


def instance_id_for(choice: str, *, hostname: str, in_kubernetes: bool) -> str | None:
    """Return the instance id, or None for a member without one.

    Raises:
        ConfigurationError: Kafka does not accept the name.
    """
    if choice == NONE:
        return None
    if choice == AUTO:
        return hostname if in_kubernetes and _STATEFUL.fullmatch(hostname) else None
    if not is_kafka_name(choice):
        raise ConfigurationError(
            f"Kafka does not accept --instance-id {choice!r}: use at most 249 letters, digits, dots, dashes and "
            "underscores"
        )
    return choice
