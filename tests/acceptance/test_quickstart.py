"""The twenty lines of the README, run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.conftest import Installation

from kallback.testing.clients.restate import Ingress

pytestmark = pytest.mark.acceptance

EXAMPLE = Path(__file__).parents[2] / "examples" / "quickstart"


async def test_the_quickstart_answers(installation: Installation) -> None:
    """Handler, worker and bridge of the quickstart, each as its own process, answer a call."""
    installation.run(EXAMPLE, "handler:app", "worker:worker", "restaurant.prepare")
    async with Ingress(installation.env["KALLBACK_RESTATE_INGRESS_URL"]) as ingress:
        assert await ingress.call("Orders/place", "Pizza") == "Pizza waits on shelf B4"


@pytest.mark.parametrize("name", ["shared.py", "handler.py", "worker.py"])
def test_the_readme_shows_the_quickstart_as_it_stands(name: str) -> None:
    """What a newcomer copies from the README is what was run."""
    readme = (EXAMPLE.parents[1] / "README.md").read_text()
    assert f"```python\n{(EXAMPLE / name).read_text()}```" in readme
