"""Durations and times on the command line: `30s`, `15m`, `2h`, `3d`, or `2026-01-31T12:00`."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Final

import click

_SPAN: Final = re.compile(r"(\d{1,6})\s*([smhd])", re.ASCII)
_MILLISECONDS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds_of(text: str) -> int | None:
    """A duration in milliseconds; None for anything else."""
    shape = _SPAN.fullmatch(text.strip())
    return None if shape is None else int(shape[1]) * _MILLISECONDS[shape[2]]


def read_span(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Read a duration as milliseconds."""
    if value is None:
        return None
    found = milliseconds_of(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is not a duration: write 30s, 15m, 2h or 3d", ctx, param)
    return found


def read_moment(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Read `2h` (ago) or an ISO time (UTC unless it names an offset) as epoch milliseconds; 0 for all before 1970."""
    if value is None:
        return None
    ago_ms = milliseconds_of(value)
    if ago_ms is not None:
        return max(0, int(time.time() * 1000) - ago_ms)
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not a time: write 30m, 2h or 3d (ago), or 2026-01-31T12:00 (UTC)", ctx, param
        ) from None
    return max(0, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000))
