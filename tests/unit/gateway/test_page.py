"""docs/gateway.md says what the gateway does."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path

from tests.unit.gateway.environment import GatewayEnv

from kallback.gateway.observability import GatewayCollector

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "gateway.md").read_text("utf-8")
SOURCES = [
    path for package in ("gateway", "web") for path in sorted((ROOT / "src" / "kallback" / package).glob("*.py"))
]
CODE = "\n".join(path.read_text("utf-8") for path in SOURCES)


def test_every_refusal_is_on_the_page() -> None:
    """By the word of its type; a defect of the gateway is the one that has none."""
    made = set(re.findall(r'(?:refused|unauthorized|unavailable)\(\s*"([a-z-]+)"', CODE))
    assert len(made) > 10
    assert {word for word in made if f"`{word}`" not in PAGE} == {"internal"}


def test_the_statuses_of_the_page_exist() -> None:
    """Each row of refusals begins with one or two."""
    rows = re.findall(r"^\| (\d{3})(?:, (\d{3}))? \| `", PAGE, re.MULTILINE)
    assert rows
    assert all(HTTPStatus(int(status)) for row in rows for status in row if status)


def test_every_metric_is_on_the_page(env: GatewayEnv) -> None:
    """Without the ones that every role has."""
    gateway = env.stopped()
    names = {family.name for family in GatewayCollector(gateway).collect()} - {"kallback_gateway_build"}
    assert {name for name in names if f"`{name}" not in PAGE} == set()
