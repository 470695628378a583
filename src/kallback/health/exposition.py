"""Metrics in Prometheus' format, read on each scrape. Needs prometheus-client."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from itertools import accumulate

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from kallback.health.histograms import Histogram
from kallback.health.server import Metrics


def exposition(collector: Collector) -> Metrics:
    """What `/metrics` serves: what the collector reads, and Python's own figures of process and memory."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)

    def expose(accept: str) -> tuple[bytes, str]:
        encode, content_type = _encoder_for(accept)
        return encode(registry), content_type

    return expose


def _encoder_for(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """Choose a format; the plain one where `Accept` cannot be read, on which the library raises."""
    try:
        return choose_encoder(accept)
    except Exception:  # noqa: BLE001 - whatever it raises over the client's text, it is the client's mistake
        return choose_encoder("")


def build_of(prefix: str) -> InfoMetricFamily:
    """Which versions run."""
    versions = {"version": metadata.version("kallback"), "python": platform.python_version()}
    return InfoMetricFamily(f"{prefix}build", "What runs.", versions)


def refused_writes_of(prefix: str, by_topic: Mapping[str, str | None]) -> GaugeMetricFamily:
    """Which topics refuse the records of a process."""
    text = "1 while Kafka refuses records for this topic: a permission or the topic is missing."
    family = GaugeMetricFamily(f"{prefix}writes_refused", text, labels=("topic",))
    for topic, sentence in by_topic.items():
        family.add_metric((topic,), float(sentence is not None))
    return family


def family_of(name: str, text: str, label: str, histograms: Mapping[str, Histogram]) -> HistogramMetricFamily:
    """Histograms by one label, for Prometheus."""
    family = HistogramMetricFamily(name, text, labels=(label,))
    for value, histogram in histograms.items():
        bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(histogram.counts)), strict=True))
        family.add_metric((value,), buckets, histogram.total)
    return family
