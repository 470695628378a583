"""The names of kallback's own Restate services: one set for each environment, so that several can share a Restate.

An environment is known by its audience, which its tokens are bound to: the name of its results topic, unless another
one is set. The default audience has the plain names. Every other one has them with a dot and the audience added.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

DEFAULT_AUDIENCE: Final = "kallback.results"
"""Of an installation that sets neither prefix, results topic nor audience."""

_LEGAL: Final = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
"""What the name of a Restate service may contain, and what every name of a Kafka topic is."""
_DIGEST_CHARACTERS: Final = 32


class ServiceNames(msgspec.Struct, frozen=True):
    """The names of one environment's services.

    Attributes:
        notifier: completes awakeables in batches.
        monitor: virtual object by task id: `progress` takes a `Heard`, `read` answers a `TaskProgress`, or 404.
        marks: virtual object by topic name: `report` takes `Marks`.
    """

    notifier: str = "NotifierService"
    monitor: str = "TaskMonitor"
    marks: str = "ConsumedMarks"


PLAIN_NAMES: Final = ServiceNames()
"""Of the default audience. Until every environment had its own names, all had these."""


def service_names(audience: str) -> ServiceNames:
    """The names of the services of one audience: the same everywhere, and different for different audiences."""
    if audience == DEFAULT_AUDIENCE:
        return PLAIN_NAMES
    suffix = audience if _LEGAL.fullmatch(audience) else _digest(audience)
    return ServiceNames(*(f"{name}.{suffix}" for name in msgspec.structs.astuple(PLAIN_NAMES)))


def _digest(audience: str) -> str:
    """What stands for an audience with characters that no name may contain."""
    return hashlib.sha256(audience.encode()).hexdigest()[:_DIGEST_CHARACTERS]
