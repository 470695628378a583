"""The checks at the end of the demo: each is a sentence, and what is wrong with it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from demo_board import Check
from demo_invalid_records import ExpectedOutcome, RecordPosition, position_of, source_of
from demo_processes import DemoProcesses
from demo_record_checks import check_dead_letters, check_outcomes
from tasks import Order

from kallback.kafka import read_entry
from kallback.protocol import Cancel, CancelReason
from kallback.testing.servers.processes import ChildProcess

_PATIENCE = 10  # seconds for the last outcome records


async def audit(
    processes: DemoProcesses,
    orders: Sequence[Order],
    ends: Mapping[str, str],
    expected: Mapping[RecordPosition, ExpectedOutcome],
    stopped: Collection[ChildProcess],
) -> list[Check]:
    """Check the whole run: orders, money, result records, dead letters, the cancel, and that no handler waits.

    Args:
        processes: what ran.
        orders: what was ordered.
        ends: the right final state of each order.
        expected: the result records that are not ordinary, and what had to become of them.
        stopped: processes that were stopped on purpose.
    """
    return [
        *await _orders(processes, orders, ends),
        *await _records(processes, expected),
        await _cancels(processes, [order_id for order_id, end in ends.items() if end == "CANCELLED"]),
        await _no_handler_waits(processes),
        Check("every process is running that was not stopped on purpose", tuple(processes.ended(but=stopped))),
    ]


async def _orders(processes: DemoProcesses, orders: Sequence[Order], expected: Mapping[str, str]) -> list[Check]:
    ends: Counter[str] = Counter()
    misplaced: list[str] = []
    unpaid: list[str] = []
    for order in orders:
        status = await processes.ingress.call(f"OrderWorkflow/{order.id}/status")
        ends[status["stage"]] += 1
        if status["stage"] != expected[order.id]:
            misplaced.append(f"order {order.id} is {status['stage']} ({status['detail']}), not {expected[order.id]}")
        kept = status["charged_cents"] - status["refunded_cents"]
        if kept != (order.total_cents if expected[order.id] == "DELIVERED" else 0):
            unpaid.append(f"order {order.id}: {kept} cents kept of {order.total_cents}")
    counted = ", ".join(f"{count} {end.lower()}" for end, count in ends.most_common())
    return [
        Check(f"{len(orders)} orders ended as they should: {counted}", tuple(misplaced)),
        Check("delivered orders are paid, all others are refunded", tuple(unpaid)),
    ]


async def _records(processes: DemoProcesses, expected: Mapping[RecordPosition, ExpectedOutcome]) -> list[Check]:
    """Every result record has one outcome record, or several if the bridge was killed before it committed."""
    topics = processes.settings.topics
    results = {position_of(record): record for record in await processes.read(topics.results)}
    deadline = time.monotonic() + _PATIENCE
    while True:
        outcomes = await processes.outcomes()
        if results.keys() <= set(map(source_of, outcomes)) or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    entries = [read_entry(record) for record in await processes.read(topics.dead_letters)]
    return [check_outcomes(results, outcomes, expected), check_dead_letters(entries, results, expected)]


async def _cancels(processes: DemoProcesses, cancelled: Sequence[str]) -> Check:
    """The cancel went out on the control topic, and the kitchen's own log says that it received it."""
    decoded = [Cancel.decode(each.value) for each in await processes.read(processes.settings.topics.control)]
    records = [each for each in decoded if each.reason is not CancelReason.SUPERSEDED]  # those are about attempts
    told = processes.kitchen_log("told to stop")
    wrong: list[str] = []
    if len(records) != len(cancelled):
        wrong.append(f"{len(records)} records on {processes.settings.topics.control}, not {len(cancelled)}")
    if sorted(set(told)) != sorted(cancelled):
        wrong.append(f"the kitchen was told to stop {told}, not {list(cancelled)}")
    return Check("the kitchen was told to stop the cancelled order, and no other", tuple(wrong))


async def _no_handler_waits(processes: DemoProcesses) -> Check:
    sql = (
        "SELECT target, status FROM sys_invocation WHERE status != 'completed' AND target NOT LIKE 'Driver%'"
        " AND NOT (status = 'scheduled' AND target LIKE 'TaskMonitor/%')"  # its alarm finds a finished task
    )
    rows = await processes.admin.query(sql)
    return Check("no handler waits any more", tuple(f"{row['target']} is {row['status']}" for row in rows))
