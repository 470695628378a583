"""What the page on cancellation says of calls that were sent with a delay is what Restate does."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import restate
from tests.integration.operations.conftest import ShopFactory

from kallback.protocol import TaskType
from kallback.sdk import Callbacks
from kallback.testing import eventually

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[3] / "docs" / "cancellation.md").read_text("utf-8")


async def unused(_ctx: restate.Context, _callbacks: Callbacks, _cook: TaskType[Any, Any], _body: Any) -> None:
    """It never runs."""


async def test_a_delayed_call_is_listed_with_its_time_and_revoked(make_shop: ShopFactory) -> None:
    """By the query and the command of the page."""
    [query] = re.findall(r'^\{"query": .*scheduled.*\}$', PAGE, re.MULTILINE)
    assert 'curl -X PATCH "$KALLBACK_RESTATE_ADMIN_URL/invocations/inv_1dC8.../cancel"\n```\n\nName the service' in PAGE
    async with make_shop(unused) as shop, httpx.AsyncClient() as client, asyncio.timeout(60):
        ingress, admin = shop.settings.restate.ingress_url, shop.settings.restate.admin_url
        sent = await client.post(f"{ingress}/{shop.service}/order/send?delay=2h", json={"number": 1})
        invocation = sent.json()["invocationId"]

        async def listed() -> list[dict[str, Any]]:
            sql = json.loads(query)["query"].replace("'Documents'", f"'{shop.service}'")
            answer = await client.post(f"{admin}/query", json={"query": sql}, headers={"accept": "application/json"})
            rows: list[dict[str, Any]] = answer.json()["rows"]
            return rows

        [row] = await listed()
        assert row["id"] == invocation
        assert row["scheduled_start_at"] > row["scheduled_at"]
        revoked = await client.patch(f"{admin}/invocations/{invocation}/cancel")
        assert revoked.is_success

        async def is_gone() -> bool:
            return not await listed()

        await eventually("a call that is not scheduled any more", is_gone)
