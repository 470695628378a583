"""What probes and Prometheus see of a long-running process: `/metrics`, `/livez` and `/readyz` on one port.

Bridge and workers share it; what the pages say is theirs.

Every name is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.lazy_names import lazy_names

if TYPE_CHECKING:
    from kallback.health.histograms import Histogram
    from kallback.health.pages import Page, Pages, PageServer
    from kallback.health.phases import Phase
    from kallback.health.server import LOOPBACK, Metrics, ProbeResult, Probes, ProbeServer

_HOMES: Final = {
    "LOOPBACK": "server",
    "Histogram": "histograms",
    "Metrics": "server",
    "Page": "pages",
    "PageServer": "pages",
    "Pages": "pages",
    "Phase": "phases",
    "ProbeResult": "server",
    "ProbeServer": "server",
    "Probes": "server",
}

__all__ = [
    "LOOPBACK",
    "Histogram",
    "Metrics",
    "Page",
    "PageServer",
    "Pages",
    "Phase",
    "ProbeResult",
    "ProbeServer",
    "Probes",
]

__getattr__ = lazy_names(__name__, _HOMES)
