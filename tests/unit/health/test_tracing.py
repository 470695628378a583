"""What the parts of a trace need to be installed."""

from __future__ import annotations

import subprocess
import sys


def test_spans_of_services_and_workers_need_no_exporter_of_ours() -> None:
    """A process with a tracer of its own may have only OpenTelemetry's API and another exporter."""
    code = (
        "import sys;"
        "sys.modules['opentelemetry.exporter'] = None;"
        "import kallback.sdk.observability.spans, kallback.workers.observability.spans;"
        "print(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "False"
