"""Tests on containers need an engine: all of them or none run, and one line says why. Interrupts reach children.

Random tests have no time limit of their own: a machine that runs other things at the same time is slow at times, and
that is no finding. Where `CI` is set they draw the same examples each time: no change is blamed for an old fault.
"""

from __future__ import annotations

import os
import signal
from functools import cache

import pytest
from hypothesis import HealthCheck, settings

from kallback.testing.environment import ServerEnvironment, ServerKind
from kallback.testing.errors import NoServerError

settings.register_profile(
    "kallback",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("kallback")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts jobs in the background so; children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
