"""What the environment says about servers for tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from kallback.testing.environment import ServerEnvironment, ServerKind
from kallback.testing.errors import NoServerError


@pytest.mark.parametrize(
    ("environ", "cache"),
    [
        ({"KALLBACK_CACHE": "/c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/kallback"),
        ({"HOME": "/h"}, "/h/.cache/kallback"),
    ],
)
def test_the_cache_is_where_the_user_keeps_caches(environ: dict[str, str], cache: str) -> None:
    """KALLBACK_CACHE wins over the XDG cache directory, which wins over ~/.cache."""
    assert ServerEnvironment.read(environ).cache == Path(cache)


def test_empty_variables_count_as_unset() -> None:
    """Compose files pass unset variables on as empty ones."""
    found = ServerEnvironment.read({"KALLBACK_TEST_KAFKA": "", "KALLBACK_REQUIRE_SERVERS": ""})

    assert found.kafka is None
    assert not found.require_servers


@pytest.mark.parametrize(("text", "required"), [("1", True), ("0", False)])
def test_servers_can_be_required(text: str, *, required: bool) -> None:
    """KALLBACK_REQUIRE_SERVERS=1 turns skips into failures."""
    assert ServerEnvironment.read({"KALLBACK_REQUIRE_SERVERS": text}).require_servers is required


@pytest.mark.parametrize(("text", "kind"), [("", "local"), ("local", "local"), ("containers", "containers")])
def test_the_kind_of_servers_is_chosen(text: str, kind: str) -> None:
    """Local processes unless containers are asked for."""
    assert ServerEnvironment.read({"KALLBACK_TEST_SERVERS": text}).servers is ServerKind(kind)


def test_an_unknown_kind_of_servers_is_refused() -> None:
    """A typing error does not silently mean local ones."""
    with pytest.raises(NoServerError, match="local or containers"):
        ServerEnvironment.read({"KALLBACK_TEST_SERVERS": "container"})
