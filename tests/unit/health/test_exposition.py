"""Which format a scrape gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.registry import Collector

from kallback.health.exposition import exposition


class _Nothing(Collector):
    """Has no metrics."""

    def collect(self) -> Iterator[Metric]:
        yield from ()


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=\xff",
        "application/openmetrics-text;version=1.x.y",
        "application/openmetrics-text;version=" + "9" * 5000,
    ],
)
def test_a_version_that_cannot_be_read_gets_plain_text(accept: str) -> None:
    """The library raises over it; a client's mistake is no defect of the process."""
    _, content_type = exposition(_Nothing())(accept)
    assert content_type.startswith("text/plain")


@given(st.text(st.characters(max_codepoint=255), max_size=100), st.sampled_from(["version", "escaping", "q", ""]))
def test_no_accept_raises(text: str, name: str) -> None:
    """Whatever a client sends."""
    expose = exposition(_Nothing())
    for accept in (text, f"application/openmetrics-text;{name}={text}", f"text/plain;version=1.0.0;{name}={text}"):
        body, content_type = expose(accept)
        assert body
        assert "\r" not in content_type
