"""The list of checks: names, pages, and steps that fit together."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.site_pages import heading_anchors

from kallback.documentation import page_address
from kallback.wire_check import CHECKS, NAMES, PAGES, CheckedTopics, CheckRequests, ProtocolCheck, WireCheckOptions
from kallback.wire_check.steps import (
    AwaitAnswers,
    AwaitAsLong,
    AwaitBegin,
    KillWorker,
    SendCopy,
    SendTask,
    SendTogether,
    StartWorker,
    StopWorker,
)

ROOT = Path(__file__).parents[3]
TOPICS = CheckedTopics(tasks="t", results="r", progress="p", control="c")
OPTIONS = WireCheckOptions(requests=CheckRequests(good=(b"{}",)), topics=TOPICS, task_type="t")


def test_names_are_unique() -> None:
    """Scripts know checks by their names."""
    assert len(NAMES) == len(CHECKS) + 1


@pytest.mark.parametrize("page", sorted(set(PAGES.values())))
def test_each_check_names_the_section_that_has_its_rule(page: str) -> None:
    """A reader of the report finds the rule in protocol/README.md."""
    wire, _, anchor = page.partition("#")
    assert wire == page_address("wire")
    assert anchor in heading_anchors((ROOT / "protocol" / "README.md").read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_the_checks_explains_each(name: str) -> None:
    """docs/wire-check.md has a row for each check."""
    assert f"| `{name}` |" in (ROOT / "docs" / "wire-check.md").read_text("utf-8")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_steps_wait_for_tasks_that_were_sent(check: ProtocolCheck) -> None:
    """Copies and waits name earlier tasks, and a worker that was ended is started again."""
    sent = set[str]()
    runs = True
    for step in check.steps(OPTIONS):
        match step:
            case SendTask(name=name):
                sent.add(name)
            case SendTogether(tasks):
                sent.update(task.name for task in tasks)
            case SendCopy(name) | AwaitBegin(name):
                assert name in sent
            case AwaitAsLong(name=name, like=like):
                assert {name, like} <= sent
            case AwaitAnswers():
                assert sent
                assert runs
            case KillWorker() | StopWorker():
                runs = False
            case StartWorker():
                runs = True
            case _:
                pass
    assert runs
