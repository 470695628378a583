"""Which files `kallback dev` starts programs anew for."""

from __future__ import annotations

from pathlib import Path

import pytest
from watchfiles import Change

from kallback.testing.dev.changes import SourceFilter

PROJECT = Path("/home/ann/tests/shop")


@pytest.mark.parametrize(
    ("path", "is_watched"),
    [
        ("shop/worker.py", True),
        ("shop/contest.py", True),
        ("shop/latest_test.py", True),
        ("shop/worker.txt", False),
        ("tests/steps.py", False),
        ("shop/tests/unit/steps.py", False),
        ("shop/test_worker.py", False),
        ("conftest.py", False),
        (".venv/lib/site-packages/shop/worker.py", False),
    ],
)
def test_programs_do_not_start_anew_for_tests(path: str, *, is_watched: bool) -> None:
    """They do not import them; what the folders above the project are called does not matter."""
    assert SourceFilter(PROJECT)(Change.modified, str(PROJECT / path)) is is_watched


@pytest.mark.parametrize(
    ("path", "is_watched"),
    [
        ("shop/worker.py", True),
        ("shop/orders_pb2.py", False),
        ("scripts/load.py", False),
        ("shop/scripts/deep/load.py", False),
        ("scripts.py", True),
        ("shop/generated/types.py", False),
        ("other/generated/types.py", True),
    ],
)
def test_excluded_files_and_folders_are_left_out(path: str, *, is_watched: bool) -> None:
    """A pattern is the name of a file or a folder anywhere, or the end of its path."""
    excluding = SourceFilter(PROJECT, ("*_pb2.py", "scripts", "shop/generated", "tests"))
    assert excluding(Change.modified, str(PROJECT / path)) is is_watched
