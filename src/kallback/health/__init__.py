"""What probes and Prometheus see of a process that runs for long: `/metrics`, `/livez` and `/readyz` on one port.

Shared by bridge and workers; what they tell is theirs.
"""

from kallback.health.histograms import Histogram
from kallback.health.pages import Page, Pages, PageServer
from kallback.health.phases import Phase
from kallback.health.server import LOOPBACK, HealthServer, Metrics, Pulse, Verdict

__all__ = [
    "LOOPBACK",
    "HealthServer",
    "Histogram",
    "Metrics",
    "Page",
    "PageServer",
    "Pages",
    "Phase",
    "Pulse",
    "Verdict",
]
