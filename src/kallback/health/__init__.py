"""What probes and Prometheus see of a long-running process: `/metrics`, `/livez` and `/readyz` on one port.

Bridge and workers share it; what the pages say is theirs.
"""

from kallback.health.histograms import Histogram
from kallback.health.pages import Page, Pages, PageServer
from kallback.health.phases import Phase
from kallback.health.server import LOOPBACK, Metrics, ProbeResult, Probes, ProbeServer

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
