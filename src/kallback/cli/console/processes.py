"""What bridges, workers, services and gateways say on their health ports: `/readyz`, read when a page is asked for.

They are named by the operator, and still not trusted: of an answer at most 64 KiB are read within three seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

import h11
import msgspec

_PATH: Final = "/readyz"
_LIMIT: Final = 64 * 1024
_TIMEOUT_S: Final = 3.0
_HTTP_PORT: Final = 80
_SHOWN: Final = 200


class ProcessStatus(msgspec.Struct, frozen=True):
    """What one process says.

    Attributes:
        address: of its health port.
        name: that the operator gave it; empty if none.
        phase: where in its life it is; empty if it does not answer.
        ready: whether it does its work now.
        reasons: why not.
        members: what else it says, such as `lag` and `in_flight`.
    """

    address: str
    phase: str = ""
    ready: bool = False
    reasons: tuple[str, ...] = ()
    members: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    name: str = ""


def split_process(text: str) -> tuple[str, str]:
    """Return name and address of `NAME=http://127.0.0.1:9464`; without a name it is empty."""
    name, equals, address = text.partition("=")
    return (name, address) if equals and "://" not in name else ("", text)


async def read_process(text: str) -> ProcessStatus:
    """Ask one process; what does not answer is a status that says so.

    Args:
        text: the address of its health port, such as `http://127.0.0.1:9464`, or `NAME=ADDRESS`.
    """
    name, address = split_process(text)
    return msgspec.structs.replace(await _read(address), name=name)


async def _read(address: str) -> ProcessStatus:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            body = await _get(address)
        return _status(address, msgspec.json.decode(body, type=dict[str, Any]))
    except TimeoutError:
        reason = f"no answer within {_TIMEOUT_S:g} s"
    except OSError as error:
        reason = f"it does not answer ({error.strerror or error})"
    except (h11.ProtocolError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reason = "what answers there is no health port of kallback"
    return ProcessStatus(address, reasons=(reason,))


async def _get(address: str) -> bytes:
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or _HTTP_PORT)
    try:
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LIMIT)
        request = h11.Request(method="GET", target=_PATH, headers=[("Host", parts.netloc.rpartition("@")[2])])
        writer.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
        body = b""
        while len(body) <= _LIMIT:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(_LIMIT))
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return body
        raise h11.RemoteProtocolError("the answer is too large")
    finally:
        writer.transport.abort()


def _status(address: str, said: Mapping[str, Any]) -> ProcessStatus:
    reasons = said.get("reasons")
    others = {name: value for name, value in said.items() if name not in {"ok", "reasons", "phase"}}
    return ProcessStatus(
        address,
        str(said.get("phase", ""))[:_SHOWN],
        said.get("ok") is True,
        tuple(str(each)[:_SHOWN] for each in cast("list[object]", reasons)[:10]) if isinstance(reasons, list) else (),
        {name[:_SHOWN]: str(value)[:_SHOWN] for name, value in list(others.items())[:20] if value is not None},
    )
