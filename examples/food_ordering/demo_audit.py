"""The end of the demo: is everything really as it should be? Each check is a sentence and what is wrong with it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from demo_board import Check
from demo_stage import Stage
from tasks import Order

from kallback.kafka import AiokafkaReader, Record

_PATIENCE = 10  # seconds for the last outcome records
_EXPECTED_OUTCOMES = frozenset({"delivered", "duplicate"})


async def audit(stage: Stage, orders: Sequence[Order], expected: Mapping[str, str]) -> list[Check]:
    """Check the whole run: orders, money, result records, dead letters, the cancel, and that nobody waits any more."""
    return [
        *await _orders(stage, orders, expected),
        await _results(stage),
        await _dead_letters(stage),
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


async def _results(stage: Stage) -> Check:
    """Every result record has one outcome record, or several if the bridge was killed before it committed."""
    topics = stage.settings.topics
    results = {(record.partition, record.offset) for record in await _read(stage, topics.results)}
    deadline = time.monotonic() + _PATIENCE
    while True:
        outcomes = [msgspec.json.decode(record.value or b"{}") for record in await _read(stage, topics.outcomes)]
        if results <= set(map(_source, outcomes)) or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    return account(results, outcomes)


def account(results: set[tuple[int, int]], outcomes: Sequence[Any]) -> Check:
    """Hold the outcome records against the positions (partition, offset) of the result records."""
    first = {_source(outcome): str(outcome["outcome"]) for outcome in reversed(outcomes)}
    wrong = [f"no outcome for result record {where}" for where in sorted(results - first.keys())]
    wrong += [f"an outcome for {where}, where there is no result record" for where in sorted(first.keys() - results)]
    wrong += [f"result record {where} is {kind}" for where, kind in first.items() if kind not in _EXPECTED_OUTCOMES]
    counted = ", ".join(f"{count} {kind}" for kind, count in Counter(first.values()).most_common()) or "none"
    again = len(outcomes) - len(first)
    read_again = f"; {again} of them twice, as the bridge was killed before it had committed" if again else ""
    return Check(f"{len(results)} result records, each accounted for: {counted}{read_again}", tuple(wrong))


async def _dead_letters(stage: Stage) -> Check:
    letters = await _read(stage, stage.settings.topics.dead_letters)
    return Check("no dead letters", tuple(f"dead letter {letter}" for letter in letters))


async def _cancels(stage: Stage, cancelled: Sequence[str]) -> Check:
    """The cancel went out on the control topic, and the kitchen's own log says that it heard it."""
    records = await _read(stage, stage.settings.topics.control)
    told = stage.kitchen_log("told to stop")
    wrong: list[str] = []
    if len(records) != len(cancelled):
        wrong.append(f"{len(records)} records on {stage.settings.topics.control}, not {len(cancelled)}")
    if sorted(set(told)) != sorted(cancelled):
        wrong.append(f"the kitchen was told to stop {told}, not {list(cancelled)}")
    return Check("the kitchen was told of the cancelled order, and of no other", tuple(wrong))


async def _nobody_waits(stage: Stage) -> Check:
    sql = "SELECT target, status FROM sys_invocation WHERE status != 'completed' AND target NOT LIKE 'Driver%'"
    rows = await stage.admin.query(sql)
    return Check("no handler waits for anything any more", tuple(f"{row['target']} is {row['status']}" for row in rows))


async def _read(stage: Stage, topic: str) -> list[Record]:
    records: list[Record] = []
    async with AiokafkaReader(stage.settings.kafka, topic) as reader:
        while not reader.caught_up.is_set():
            records += await reader.fetch(timeout=1)
    return records


def _source(outcome: Any) -> tuple[int, int]:
    return outcome["source"]["partition"], outcome["source"]["offset"]
