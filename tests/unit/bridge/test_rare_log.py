"""Log lines stay rare."""

from __future__ import annotations

from kallback.bridge.log_throttle import LogThrottle
from kallback.testing.log_capture import capture_logs


def test_one_line_per_kind_and_interval() -> None:
    """What is left out is counted on the next line."""
    now = 0.0
    log = LogThrottle(lambda: now, interval=10)
    with capture_logs() as lines:
        for _ in range(5):
            log.warning("oops", kind="a")
        log.warning("oops", kind="b")
        now = 10.0
        log.warning("oops", kind="a")

    assert [(line["kind"], line.get("left_out")) for line in lines] == [("a", None), ("b", None), ("a", 4)]
