"""The look at Restate before a bridge starts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.bridge.hostile_server import HostileServer

from kallback.bridge.restate.compatibility import RestateCheck
from kallback.lifecycle import LogThrottle
from kallback.protocol import UnsupportedServerError
from kallback.settings import RestateSettings, named_log
from kallback.testing.log_capture import capture_logs


async def look(settings: RestateSettings) -> list[Any]:
    """Look, and return the log lines."""
    with capture_logs() as lines:
        await RestateCheck(settings, LogThrottle(named_log("kallback.bridge"), lambda: 0.0)).check()
    return lines


def says(hostile: HostileServer, version: str, *, status: str = "200 OK") -> RestateSettings:
    """A server that answers this to everything."""
    body = f'{{"version":"{version}"}}'.encode()
    hostile.answers(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    return RestateSettings(hostile.url, hostile.url)


@pytest.mark.parametrize("version", ["1.7.0", "1.7.12", "1.10.0", "2.0.0-rc.1"])
async def test_new_enough(hostile: HostileServer, version: str) -> None:
    """Nothing is said."""
    assert await look(says(hostile, version)) == []


@pytest.mark.parametrize("version", ["1.6.9", "0.9.0", "1.6.99-dev"])
async def test_too_old(hostile: HostileServer, version: str) -> None:
    """The sentence says which version is needed, and why."""
    with pytest.raises(UnsupportedServerError, match=r"1\.7\.0 or later"):
        await look(says(hostile, version))


async def test_absent() -> None:
    """One line that names the address and what to check; no error."""
    (line,) = await look(RestateSettings("http://127.0.0.1:9", "http://127.0.0.1:9"))
    assert line["ingress_url"] == "http://127.0.0.1:9"
    assert "KALLBACK_RESTATE_INGRESS_URL" in line["event"]


async def test_something_else_on_the_ingress_port(hostile: HostileServer) -> None:
    """A web server that knows no such path is not Restate."""
    (line,) = await look(says(hostile, "", status="404 Not Found"))
    assert line["kind"] == "ingress-absent"


@pytest.mark.parametrize("version", ["", "latest", "\\ud800"])
async def test_a_version_that_cannot_be_read(hostile: HostileServer, version: str) -> None:
    """Unknown is a line, not an error: the admin API may be out of reach."""
    (line,) = await look(says(hostile, version))
    assert line["kind"] == "version-unknown"


async def test_an_admin_api_out_of_reach(hostile: HostileServer) -> None:
    """The bridge works without it."""
    says(hostile, "1.7.0")
    (line,) = await look(RestateSettings(hostile.url, "http://127.0.0.1:9"))
    assert "KALLBACK_RESTATE_ADMIN_URL" in line["event"]


async def test_a_server_that_hangs(hostile: HostileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look ends by itself."""
    monkeypatch.setattr("kallback.bridge.restate.compatibility._TIMEOUT_S", 0.1)
    hostile.script = lambda *_: asyncio.sleep(60)
    (line,) = await look(RestateSettings(hostile.url, hostile.url))
    assert line["kind"] == "ingress-absent"
