"""Commands configure logging and garbage collection of the whole process; each test leaves them as they were."""

from __future__ import annotations

import gc
import logging
from collections.abc import Generator

import pytest


@pytest.fixture(autouse=True)
def _logging_as_before() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture(autouse=True)
def _collections_as_before() -> Generator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()
