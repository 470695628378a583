"""Which Restate services an environment calls."""

from __future__ import annotations

from kallback.protocol import PLAIN_NAMES
from kallback.protocol.service_names import DEFAULT_AUDIENCE
from kallback.settings import Settings, Topics

TEAM = {"KALLBACK_TOPICS_PREFIX": "team-a."}
OLD = {"KALLBACK_RESTATE_OLD_SERVICE_NAMES": "1"}


def test_without_settings_the_names_are_the_plain_ones() -> None:
    """The default audience is the name of the default results topic."""
    assert Topics().results == DEFAULT_AUDIENCE
    assert Settings.from_env({}).services == PLAIN_NAMES


def test_a_prefix_is_in_the_names() -> None:
    """One variable separates two teams, in Kafka and in Restate."""
    assert Settings.from_env(TEAM).services.monitor == "TaskMonitor.team-a.results"


def test_an_audience_is_in_the_names() -> None:
    """It is what the services verify, whatever the topics are called."""
    assert Settings.from_env({**TEAM, "KALLBACK_AUDIENCE": "b"}).services.monitor == "TaskMonitor.b"


def test_the_old_names_are_used_when_asked_for() -> None:
    """During an upgrade, in an environment that has other names now."""
    assert Settings.from_env(TEAM).old_services is None
    assert Settings.from_env({**TEAM, **OLD}).old_services == PLAIN_NAMES
    assert Settings.from_env(OLD).old_services is None
