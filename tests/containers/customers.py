"""Customers of the food-ordering example, over Restate's ingress."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from tests.containers.compose import ROOT

from kallback.testing import Ingress, eventually


class Customers:
    """Places orders at the ingress and follows them."""

    def __init__(self, ingress_url: str) -> None:
        self._url = ingress_url
        self._sample = json.loads((ROOT / "examples/food_ordering/an_order.json").read_text())
        self._placed = 0

    async def order(self, count: int) -> list[str]:
        """Place orders at as many restaurants; return their ids."""
        ids = [f"{self._placed + index:03}" for index in range(count)]
        self._placed += count
        async with Ingress(self._url) as ingress:
            for each in ids:
                restaurant = self._sample["restaurant"] | {"name": f"restaurant {each}"}
                body = self._sample | {"id": each, "restaurant": restaurant}
                await ingress.send(f"OrderWorkflow/{each}/create", body)
        return ids

    async def status(self, order: str) -> dict[str, Any]:
        """What a customer sees; nothing yet is a stage too, and so is a Restate that is away."""
        try:
            answer = await self._http("GET", f"/OrderWorkflow/{order}/status")
        except httpx.HTTPError:
            return {"stage": "UNKNOWN"}
        status: dict[str, Any] = answer.json() if answer.is_success else {"stage": "UNKNOWN"}
        return status

    async def until(
        self, stages: Iterable[str], orders: Iterable[str], *, timeout_s: float = 300
    ) -> list[dict[str, Any]]:
        """Wait until each order is in one of these stages; return what the customers then see."""
        wanted, left = set(stages), list(orders)
        seen: dict[str, dict[str, Any]] = {}

        async def all_there() -> bool:
            for each in left:
                seen[each] = await self.status(each)
            return all(seen[each]["stage"] in wanted for each in left)

        try:
            await eventually(f"{len(left)} orders in {wanted}", all_there, timeout=timeout_s, interval=0.5)
        except AssertionError:
            pytest.fail(f"after {timeout_s:g} s the orders are not all in {wanted}: {seen}")
        return list(seen.values())

    async def cancel(self, order: str) -> None:
        """Cancel an order."""
        (await self._http("POST", f"/OrderWorkflow/{order}/cancel")).raise_for_status()

    async def _http(self, method: str, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self._url, timeout=10) as client:
            return await client.request(method, path)
