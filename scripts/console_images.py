"""Makes the images of docs/console.md, from a console with made tasks: .venv/bin/python scripts/console_images.py.

Needs Chromium.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from playwright.async_api import async_playwright

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.unit.cli.console.environment import (  # noqa: E402 - found by the line before
    NOW_MS,
    FakeChanges,
    FakeMany,
    FakeSources,
    dead_letter,
    headers_of,
    outcome,
    pending,
    running,
    serving,
)

from kallback.cli.console.processes import ProcessStatus  # noqa: E402
from kallback.cli.console.traffic import TrafficSample  # noqa: E402
from kallback.cli.dead_letters.contents import Replay  # noqa: E402
from kallback.kafka import DeadLetterId, Position, Record  # noqa: E402
from kallback.operations import PendingTask  # noqa: E402
from kallback.protocol import Attempt, Keyring, Outcome, TaskId  # noqa: E402
from kallback.protocol.by_hand import Operator  # noqa: E402
from kallback.settings import KeySettings, Settings  # noqa: E402

IMAGES: Final = ROOT / "docs" / "images"
TYPES: Final = ("restaurant.prepare", "bakery.bake", "restaurant.prepare", "driver.deliver")
TASKS: Final = 14
ASKED: Final = frozenset({4, 11})
"""Those of the tasks that are awakeables, whose handlers wait for an answer of a person."""
FAILED: Final = 6
"""The one whose attempt has failed."""


def task(number: int) -> PendingTask:
    """One of the tasks that wait."""
    task_id = base64.urlsafe_b64encode(hashlib.sha256(b"%d" % number).digest()[:12]).decode()
    kind = TYPES[number % len(TYPES)]
    progress = None if kind == "restaurant.prepare" else running(b'{"percent": 40, "step": "second rise"}')
    made = pending(number, kind, progress=progress)
    invocation = replace(
        made.invocation,
        id=f"inv_1{hashlib.sha256(task_id.encode()).hexdigest()[:33]}",
        target="OrderWorkflow/07/create",
    )
    age_ms = (TASKS - number) * 47_000
    if number in ASKED:
        made = replace(made, task_type="order.refund", position=None, signal=17)
    if number == FAILED:
        made = replace(made, attempt=Attempt(2), next_attempt_ms=NOW_MS + 40_000)
    return replace(
        made,
        task_id=TaskId(task_id),
        position=made.position and Position(kind, number % 4, 100 + number),
        created_ms=NOW_MS - age_ms,
        deadline_ms=NOW_MS - age_ms + 3_600_000,
        invocation=invocation,
    )


def traffic() -> list[TrafficSample]:
    """An hour with a rush."""
    samples, results, dead = list[TrafficSample](), 0, 0
    for number in range(240):
        rush = math.exp(-(((number - 150) / 30) ** 2))
        results += int(15 * (4 + 20 * rush + number % 3))
        dead += number % 97 == 0
        samples.append(TrafficSample(NOW_MS - (239 - number) * 15_000, results, dead, int(90 * rush**2)))
    return samples


def sources(tasks: list[PendingTask]) -> FakeSources:
    """What the console reads."""
    order = json.dumps({"order": "07", "dishes": ["Pizza Margherita", "Tiramisu"]}).encode()
    headers = headers_of(tasks[1])
    record = Record("bakery.bake", 1, 101, NOW_MS, b"07", order, headers)
    reasons = ["late", "unknown-key", "not-json", "late"]
    return FakeSources(
        tasks,
        {tasks[1].position: record},
        [
            dead_letter(reason, id=DeadLetterId(at % 2, 40 - at), written_ms=NOW_MS - at * 300_000)
            for at, reason in enumerate(reasons)
        ],
        {DeadLetterId(0, 38): Replay(NOW_MS - 120_000, Operator("ann", "the key is back"))},
        statuses=[
            ProcessStatus("http://127.0.0.1:9464", "running", ready=True, members={"lag": "12", "in_flight": "3"}),
            ProcessStatus("http://127.0.0.1:9465", reasons=("it does not answer (Connection refused)",)),
        ],
        results=[
            outcome(task_id=tasks[3].task_id, task_type="driver.deliver", did="completed"),
            outcome(
                task_id=tasks[5].task_id,
                task_type="bakery.bake",
                by="ann",
                did="failed",
                why="the oven broke, the guest was told",
            ),
            outcome(Outcome.LATE, task_id=tasks[2].task_id, task_type="restaurant.prepare", reason="late"),
            outcome(Outcome.UNVERIFIED, reason="unknown-key", task_type=None, task_id=None, attempt=None),
        ],
    )


async def main() -> None:
    """Make all images."""
    tasks = [task(number) for number in range(TASKS)]
    settings = Settings(keys=KeySettings(keyring=Keyring({"k1": hashlib.sha256(b"of these images").digest()})))
    paths = {
        "overview": "",
        "tasks": "tasks",
        "many": "tasks/all?type=restaurant.prepare",
        "task": f"tasks/{tasks[1].task_id}",
        "approval": f"tasks/{tasks[4].task_id}",
        "outcomes": "outcomes",
        "dead-letters": "dead-letters",
        "dead-letter": "dead-letters/0:40",
        "processes": "processes",
        "settings": "settings",
    }
    async with (
        serving(sources(tasks), settings, changes=FakeChanges(FakeMany(tasks)), samples=traffic()) as client,
        async_playwright() as driver,
    ):
        browser = await driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, path in paths.items():
            await _save(browser, str(client.base_url.join(path)), name, 1100, 600, "light")
        await _save(browser, str(client.base_url.join(paths["task"])), "task-phone", 360, 740, "dark")
        await browser.close()


async def _save(browser: Any, address: str, name: str, width: int, height: int, scheme: str) -> None:
    page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    await page.goto(address)
    await page.screenshot(path=IMAGES / f"console-{name}.png", full_page=True)
    await page.close()


if __name__ == "__main__":
    asyncio.run(main())
