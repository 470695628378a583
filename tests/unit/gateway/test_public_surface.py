"""The names that users may rely on."""

import kallback.gateway


def test_the_public_surface_is_frozen() -> None:
    """A name added or lost here is a decision, with a line in the changelog."""
    assert kallback.gateway.__all__ == ["Gateway", "GatewayOptions", "GatewayStats"]
