"""docs/gateway.md says what the gateway does; its refusals are among the errors."""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path

from tests.unit.docs.metric_tables import documented, exposed
from tests.unit.gateway.environment import GatewayEnv

from kallback.gateway.observability import GatewayCollector

ROOT = Path(__file__).parents[3]
ERRORS = (ROOT / "docs" / "errors.md").read_text("utf-8")


def test_the_statuses_of_refusals_exist() -> None:
    """Each row has one."""
    rows = re.findall(r"^\| `urn:kallback:[a-z-]+` \| (\d{3}) \|", ERRORS, re.MULTILINE)
    assert len(rows) > 10
    assert all(HTTPStatus(int(status)) for status in rows)


def test_every_metric_is_on_the_page(env: GatewayEnv) -> None:
    """With its kind and its labels; and each row is about a metric that there is."""
    families = GatewayCollector(env.stopped()).collect()
    assert documented("gateway.md", "kallback_gateway_") == exposed(families)
