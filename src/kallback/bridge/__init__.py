"""The bridge: a daemon that turns result records into completions of awakeables.

    await Bridge(Settings.from_env()).run()

Health port and tracing are imported at first use, so that a bridge without them does not carry their libraries.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from kallback.bridge.bridge import Bridge
from kallback.bridge.completers.base import Completer, FunctionCompleter, complete
from kallback.bridge.completers.ingress import IngressCompleter
from kallback.bridge.completers.notifier import NotifierCompleter
from kallback.bridge.completers.replies import Accepted, Misconfigured, Rejected, Reply, Retry, TooLarge, read_reply
from kallback.bridge.context import Clocks
from kallback.bridge.dependencies import Dependencies
from kallback.bridge.in_flight.limits import Backlog
from kallback.bridge.options import BridgeOptions, CompleterName
from kallback.bridge.results.completion import Completion
from kallback.bridge.results.decide import (
    AttachDuplicate,
    Deliver,
    Duplicate,
    Late,
    Seen,
    UnusableResult,
    Verdict,
    decide,
)
from kallback.bridge.stats import Settled, Stats
from kallback.health import Phase
from kallback.kafka import Client, KafkaClients
from kallback.lifecycle import Backoff
from kallback.protocol import MissingExtraError
from kallback.protocol.verification import Target, Trust, UnverifiedResult, Verified, verify

if TYPE_CHECKING:
    from kallback.bridge.observability.health import HealthServer
    from kallback.bridge.observability.tracing import Tracing, otlp_tracing

_LAZY: Final = {  # module and extra
    "HealthServer": ("observability.health", "bridge"),
    "Tracing": ("observability.tracing", "otel"),
    "otlp_tracing": ("observability.tracing", "otel"),
}

__all__ = [
    "Accepted",
    "AttachDuplicate",
    "Backlog",
    "Backoff",
    "Bridge",
    "BridgeOptions",
    "Client",
    "Clocks",
    "Completer",
    "CompleterName",
    "Completion",
    "Deliver",
    "Dependencies",
    "Duplicate",
    "FunctionCompleter",
    "HealthServer",
    "IngressCompleter",
    "KafkaClients",
    "Late",
    "Misconfigured",
    "NotifierCompleter",
    "Phase",
    "Rejected",
    "Reply",
    "Retry",
    "Seen",
    "Settled",
    "Stats",
    "Target",
    "TooLarge",
    "Tracing",
    "Trust",
    "UnusableResult",
    "UnverifiedResult",
    "Verdict",
    "Verified",
    "complete",
    "decide",
    "otlp_tracing",
    "read_reply",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import a module when one of its names is asked for; say which extra is missing if it cannot be."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, extra = _LAZY[name]
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("kallback"):
            raise
        raise MissingExtraError(
            f'kallback.bridge.{name} needs {error.name}: pip install "kallback[{extra}]"', name=error.name
        ) from error
