"""The end of the demo: is everything really as it should be? Each check is a sentence and what is wrong with it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from demo_accounts import account, bury
from demo_board import Check
from demo_rubbish import Fate, Place, place_of, source_of
from demo_stage import Stage
from tasks import Order

from kallback.kafka import read_entry
from kallback.protocol import Cancel, CancelReason

_PATIENCE = 10  # seconds for the last outcome records


async def audit(
    stage: Stage, orders: Sequence[Order], expected: Mapping[str, str], fates: Mapping[Place, Fate]
) -> list[Check]:
    """Check the whole run: orders, money, result records, dead letters, the cancel, and that nobody waits any more."""
    return [
        *await _orders(stage, orders, expected),
        *await _records(stage, fates),
        await _cancels(stage, [order_id for order_id, end in expected.items() if end == "CANCELLED"]),
        await _nobody_waits(stage),
        Check("every process is alive", tuple(stage.fallen())),
    ]


async def _orders(stage: Stage, orders: Sequence[Order], expected: Mapping[str, str]) -> list[Check]:
    ends: Counter[str] = Counter()
    misplaced: list[str] = []
    unpaid: list[str] = []
    for order in orders:
        status = await stage.ingress.call(f"OrderWorkflow/{order.id}/status")
        ends[status["stage"]] += 1
        if status["stage"] != expected[order.id]:
            misplaced.append(f"order {order.id} is {status['stage']} ({status['detail']}), not {expected[order.id]}")
        kept = status["charged_cents"] - status["refunded_cents"]
        if kept != (order.total_cents if expected[order.id] == "DELIVERED" else 0):
            unpaid.append(f"order {order.id}: {kept} cents kept of {order.total_cents}")
    counted = ", ".join(f"{count} {end.lower()}" for end, count in ends.most_common())
    return [
        Check(f"{len(orders)} orders ended as they should: {counted}", tuple(misplaced)),
        Check("whoever got food paid for it, everybody else has the money back", tuple(unpaid)),
    ]


async def _records(stage: Stage, fates: Mapping[Place, Fate]) -> list[Check]:
    """Every result record has one outcome record, or several if the bridge was killed before it committed."""
    topics = stage.settings.topics
    results = {place_of(record): record for record in await stage.read(topics.results)}
    deadline = time.monotonic() + _PATIENCE
    while True:
        outcomes = await stage.outcomes()
        if results.keys() <= set(map(source_of, outcomes)) or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    entries = [read_entry(record) for record in await stage.read(topics.dead_letters)]
    return [account(results, outcomes, fates), bury(entries, results, fates)]


async def _cancels(stage: Stage, cancelled: Sequence[str]) -> Check:
    """The cancel went out on the control topic, and the kitchen's own log says that it heard it."""
    decoded = [Cancel.decode(each.value) for each in await stage.read(stage.settings.topics.control)]
    records = [each for each in decoded if each.reason is not CancelReason.SUPERSEDED]  # those are about attempts
    told = stage.kitchen_log("told to stop")
    wrong: list[str] = []
    if len(records) != len(cancelled):
        wrong.append(f"{len(records)} records on {stage.settings.topics.control}, not {len(cancelled)}")
    if sorted(set(told)) != sorted(cancelled):
        wrong.append(f"the kitchen was told to stop {told}, not {list(cancelled)}")
    return Check("the kitchen was told of the cancelled order, and of no other", tuple(wrong))


async def _nobody_waits(stage: Stage) -> Check:
    sql = (
        "SELECT target, status FROM sys_invocation WHERE status != 'completed' AND target NOT LIKE 'Driver%'"
        " AND NOT (status = 'scheduled' AND target LIKE 'TaskMonitor/%')"  # its alarm will find that all is over
    )
    rows = await stage.admin.query(sql)
    return Check("no handler waits for anything any more", tuple(f"{row['target']} is {row['status']}" for row in rows))
