"""Processes and settings."""

from __future__ import annotations

from typing import Final

from kallback.cli.console.pages.layout import page, table
from kallback.cli.console.pages.markup import Content, element
from kallback.cli.console.pages.values import REFRESH_S
from kallback.cli.console.processes import ProcessStatus
from kallback.cli.console.shown_settings import shown_address
from kallback.web import HttpResponse

_HINT: Final = (
    "Start bridges, workers, services and gateways with --health-port, such as 9464, and this console, or kallback "
    "dev, with --process NAME=http://127.0.0.1:9464 for each of them."
)


def processes_page(found: list[ProcessStatus]) -> HttpResponse:
    """Return what bridges, workers, services and gateways say of themselves."""
    rows: list[list[Content]] = [
        [
            status.name or "-",
            shown_address(status.address),
            "ready" if status.ready else element("strong", "not ready"),
            status.phase or "-",
            "; ".join(status.reasons) or "-",
            ", ".join(f"{name} {value}" for name, value in status.members.items()) or "-",
        ]
        for status in found
    ]
    hint = None if found else element("p", _HINT)
    headings = ["Process", "Health port", "Ready", "Phase", "Why not", "Figures"]
    return page("Processes", table("Processes", headings, rows), hint, section="/processes", refresh=REFRESH_S)


def settings_page(rows: list[tuple[str, str]]) -> HttpResponse:
    """Return the settings of the console's process."""
    names: list[list[Content]] = [[element("code", name), value] for name, value in rows]
    return page("Settings", table("Settings of this process", ["Setting", "Value"], names), section="/settings")
