"""`deploy/alerts.yml` and the recipe for KEDA: each metric that they name exists, each alert says what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parents[3]
GROUPS: list[Any] = yaml.safe_load((TOP / "deploy" / "alerts.yml").read_text())["groups"]
RULES: list[Any] = [rule for group in GROUPS for rule in group["rules"]]
TABLES = "".join((TOP / "docs" / name).read_text() for name in ("observability.md", "gateway.md"))
METRICS = set(re.findall(r"^\| `(kallback_\w+)`", TABLES, re.MULTILINE))
"""The tables of all metrics; other tests hold them to the code."""
FIRING = Path(__file__).parent / "firing_alerts.yml"
METRIC = re.compile(r"kallback_\w+")


def named(rule: Any) -> str:
    """The name of a rule's test."""
    return str(rule["alert"])


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_the_metrics_of_an_alert_exist(rule: Any) -> None:
    """A rule about a metric that is gone never fires."""
    names = set(METRIC.findall(rule["expr"]))
    assert names
    assert names <= METRICS


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_an_alert_has_a_sentence_and_a_severity(rule: Any) -> None:
    """The operator who is woken reads nothing else."""
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")


def test_each_alert_is_seen_firing_and_silent() -> None:
    """In what Prometheus' own tool evaluates."""
    tests = yaml.safe_load(FIRING.read_text())["tests"]
    cases = [case for test in tests for case in test.get("alert_rule_test", [])]
    names = {named(rule) for rule in RULES}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("command", [["check", "rules", "deploy/alerts.yml"], ["test", "rules", str(FIRING)]])
def test_prometheus_reads_the_rules_and_they_fire(command: list[str]) -> None:
    """As Prometheus' own tool evaluates them."""
    done = subprocess.run(["promtool", *command], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_have_names_of_their_own() -> None:
    """Silences name them."""
    assert len({named(rule) for rule in RULES}) == len(RULES)


def test_the_dashboard_of_workers_draws_every_metric_of_a_worker() -> None:
    """And no other one; a histogram is drawn by its buckets."""
    dashboard = json.loads((TOP / "dashboards" / "kallback-workers.json").read_text())
    drawn = {
        name for panel in dashboard["panels"] for each in panel["targets"] for name in METRIC.findall(each["expr"])
    }
    assert {name.removesuffix("_bucket") for name in drawn} == {name for name in METRICS if "_worker_" in name}


def test_the_metrics_of_the_recipe_exist() -> None:
    """In the text and in the query."""
    page = (TOP / "docs" / "autoscaling.md").read_text()
    assert set(METRIC.findall(page)) <= METRICS


def recipe() -> Any:
    """The ScaledObject."""
    (block,) = re.findall(r"```yaml\n(.*?)```", (TOP / "docs" / "autoscaling.md").read_text(), re.DOTALL)
    return yaml.safe_load(block)


def test_the_recipe_is_yaml_that_keda_reads() -> None:
    """One ScaledObject with a query."""
    assert (recipe()["kind"], recipe()["spec"]["triggers"][0]["type"]) == ("ScaledObject", "prometheus")


def test_the_queries_of_the_recipe_are_evaluated() -> None:
    """By Prometheus' own tool: the query, and the one with what types with `acknowledge="start"` add."""
    query = recipe()["spec"]["triggers"][0]["metadata"]["query"].strip()
    (addition,) = re.findall(r"^`(\+ sum\(.*?\))`", (TOP / "docs" / "autoscaling.md").read_text(), re.MULTILINE)
    tests = yaml.safe_load(FIRING.read_text())["tests"]
    evaluated = {case["expr"] for test in tests for case in test.get("promql_expr_test", [])}
    assert evaluated == {query, f"{query} {addition}"}
