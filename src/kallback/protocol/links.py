"""Links of tasks: an address of a gateway with a token in it. Who has the link can complete the attempt, once."""

from __future__ import annotations

from typing import Final

GATEWAY_ROOT: Final = "/v1/"
"""The path below which a gateway answers; a token follows, or the name of an action."""


def link_of(base: str, token: str) -> str:
    """The link of a token at the gateway whose address is `base`. A bearer credential, like the token."""
    return f"{base.rstrip('/')}{GATEWAY_ROOT}{token}"
