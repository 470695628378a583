"""Tests on containers need an engine: all of them or none run, and one line says why."""

from __future__ import annotations

from functools import cache

import pytest

from kallback.testing.environment import ServerEnvironment, ServerKind
from kallback.testing.errors import NoServerError


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture; skipped here, they are one line of the summary."""
    environment = ServerEnvironment.read()
    on_containers = environment.servers is ServerKind.CONTAINERS and item.get_closest_marker("integration")
    trouble = missing() if on_containers or item.get_closest_marker("containers") else None
    if trouble is not None and environment.require_servers:
        pytest.exit(trouble, returncode=1)
    if trouble is not None:
        pytest.skip(trouble)


@cache
def missing() -> str | None:
    """What it takes that is not here."""
    from kallback.testing.containers.engine import require_compose, require_engine  # noqa: PLC0415 - an extra

    try:
        require_engine()
        require_compose()
    except NoServerError as error:
        return str(error)
    return None
