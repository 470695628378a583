"""Gathers what a run left behind: topics read whole, committed positions, files, what Restate says."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as ClientPartition

from chaos.evidence import GroupProgress, HandlerStart, OutcomeRecord, Result, TeamEvidence
from chaos.second_team import SecondTeam
from chaos.stage import Stage
from chaos.work import GROUP, MARK, NUMBER, OBSERVATIONS, RUNS, STARTS, Kind, Report, long_work, process_work, work
from kallback.kafka import ConfluentReader, DeadLetter, Record, ReplayMarker, UnknownEntry, read_entry
from kallback.protocol import Outcome
from kallback.settings import Settings

_COMPLAINTS: Final = re.compile(
    r"was never retrieved|was destroyed but it is pending|was never awaited|Fatal Python error|Traceback"
    r"|does not verify this bridge's tokens"
)
_OUR_LOGS: Final = ("bridge-*.log", "worker-*.log", "second-bridge.log", "second-worker.log")
_LONGEST_LINE: Final = 400
_TIMEOUT: Final = 10.0


async def read_topic(settings: Settings, topic: str) -> list[Record]:
    """Every record that is there now."""
    records: list[Record] = []
    async with ConfluentReader(settings.kafka, topic) as reader:
        while not reader.caught_up.is_set():
            records += await reader.fetch(timeout=1)
    return records


async def results(settings: Settings, reports: Mapping[int, Report | str]) -> list[Result]:
    """The results topic; a worker's record is known by its key, the task id."""
    numbers = {report.task_id: number for number, report in reports.items() if isinstance(report, Report)}
    return [_result(record, numbers) for record in await read_topic(settings, settings.topics.results)]


def _result(record: Record, numbers: Mapping[str | None, int]) -> Result:
    headers = dict(record.headers)
    mark, number = headers.get(MARK), headers.get(NUMBER)
    if mark is None:
        return Result(record, None, numbers.get((record.key or b"").decode()))
    return Result(record, Kind(mark.decode()), None if number is None else int(number))


async def outcomes(settings: Settings) -> list[OutcomeRecord]:
    """The outcomes topic."""
    return [_outcome_record(record) for record in await read_topic(settings, settings.topics.outcomes)]


def _outcome_record(record: Record) -> OutcomeRecord:
    line = msgspec.json.decode(record.value or b"")
    position = line["source"]["partition"], line["source"]["offset"]
    return OutcomeRecord(position, Outcome(line["outcome"]), line.get("reason"))


async def dead_letters(settings: Settings) -> list[DeadLetter | UnknownEntry]:
    """The dead-letter topic."""
    entries = map(read_entry, await read_topic(settings, settings.topics.dead_letters))
    return [entry for entry in entries if not isinstance(entry, ReplayMarker)]


async def second_team(team: SecondTeam, reports: Mapping[int, Report | str], interrupted: int | None) -> TeamEvidence:
    """What the topics and files of the second team say."""
    settings, topics = team.settings, team.settings.topics
    letters = await dead_letters(settings)
    return TeamEvidence(
        reports=reports,
        runs=runs(team.directory),
        interrupted=interrupted,
        result_keys=[(record.key or b"").decode() for record in await read_topic(settings, topics.results)],
        dead_letters=[each.reason if isinstance(each, DeadLetter) else "unknown" for each in letters],
        outcomes=Counter(each.outcome for each in await outcomes(settings)),
    )


async def progress(settings: Settings, team: str = "") -> list[GroupProgress]:
    """How far bridges and workers of a team have committed."""
    bridges, topics = f"{settings.topics.results}.bridge", settings.topics
    wanted = (
        (bridges, topics.results),
        (f"{bridges}.progress", topics.progress),
        *((f"{team}{GROUP}", f"{team}{each.topic}") for each in (work, long_work, process_work)),
    )
    found = await asyncio.gather(*(asyncio.to_thread(_progress, settings, *each) for each in wanted))
    return [each for group in found for each in group]


def _progress(settings: Settings, group: str, topic: str) -> list[GroupProgress]:
    client = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": group, "log_level": 0})
    try:
        numbers = client.list_topics(topic, _TIMEOUT).topics[topic].partitions
        asked = [ClientPartition(topic, number) for number in numbers]
        return [
            GroupProgress(group, topic, each.partition, each.offset, client.get_watermark_offsets(each, _TIMEOUT)[1])
            for each in client.committed(asked, _TIMEOUT)
        ]
    finally:
        client.close()


async def unfinished(stage: Stage) -> list[str]:
    """Handlers that wait, as Restate describes them, and tasks that are still watched.

    An alarm of a task that has ended stays scheduled, for Restate cannot withdraw it; it will find no state. Bridges
    report their marks as long as they run.
    """
    sql = (
        "SELECT id, target, status, retry_count, last_failure FROM sys_invocation WHERE status != 'completed'"
        " AND NOT (status = 'scheduled' AND target LIKE 'TaskMonitor%/alarm')"
        " AND target NOT LIKE 'ConsumedMarks%/report'"
    )
    rows = await stage.admin.query(sql)
    watched = await stage.admin.query("SELECT service_key FROM state WHERE service_name LIKE 'TaskMonitor%'")
    return [
        *(f"{row['id']} {row['target']} is {row['status']} ({row.get('last_failure')})" for row in rows),
        *(f"task {row['service_key']} is still watched" for row in watched),
    ]


def observations(directory: Path) -> list[Report]:
    """What handlers saw; a line that a kill cut off does not count."""
    found: list[Report] = []
    for line in _lines(directory / OBSERVATIONS):
        try:
            found.append(msgspec.json.decode(line, type=Report))
        except msgspec.DecodeError:
            continue
    return found


def starts(directory: Path) -> list[HandlerStart]:
    """The attempts of handlers; a line that a kill cut off does not count."""
    found: dict[str, HandlerStart] = {}
    for line in _lines(directory / STARTS):
        match line.decode().split():
            case [at, "begin", attempt, invocation_id]:
                found[attempt] = HandlerStart(invocation_id, float(at))
            case [at, "end", attempt, how] if attempt in found:
                found[attempt] = replace(found[attempt], ended=float(at), how=how)
            case _:
                continue
    return list(found.values())


def runs(directory: Path) -> Counter[int]:
    """How often the work of each task was begun."""
    return Counter(int(line.split()[0]) for line in _lines(directory / RUNS) if line.split())


def attempts(directory: Path) -> Counter[int]:
    """Tasks by the highest attempt that was begun."""
    highest: dict[int, int] = {}
    for line in _lines(directory / RUNS):
        match line.split():
            case [number, _, attempt]:
                highest[int(number)] = max(int(attempt), highest.get(int(number), 0))
            case _:  # a kill cut the line off
                continue
    return Counter(highest.values())


def complaints(directory: Path) -> list[str]:
    """What no log of bridges and workers should say, once per log and kind."""
    found: dict[tuple[str, str], str] = {}
    for log in sorted(log for name in _OUR_LOGS for log in directory.glob(name)):
        for line in log.read_text(errors="replace").splitlines():
            if hit := _COMPLAINTS.search(line):
                found.setdefault((log.name, hit[0]), f"{log.name}: {line[:_LONGEST_LINE]}")
    return list(found.values())


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines() if file.exists() else []
