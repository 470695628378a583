"""The names that users may rely on."""

from __future__ import annotations

import kallback.bridge

SURFACE = """
Accepted AttachDuplicate Backlog Backoff Bridge BridgeOptions Client Clocks Completer CompleterName Completion Deliver
Dependencies Duplicate FunctionCompleter HealthServer IngressCompleter KafkaClients Late Misconfigured NotifierCompleter
Phase Rejected Reply Retry Seen Settled Stats Target TooLarge Tracing Trust UnusableResult UnverifiedResult Verdict
Verified complete decide otlp_tracing read_reply verify
"""


def test_the_public_surface_is_frozen() -> None:
    """A name added or lost here is a decision, with a line in the changelog."""
    assert kallback.bridge.__all__ == SURFACE.split()


def test_every_name_is_there() -> None:
    """The list does not promise what is missing."""
    assert all(hasattr(kallback.bridge, name) for name in kallback.bridge.__all__)
