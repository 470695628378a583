"""The names of the Restate services of an environment."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kallback.protocol import PLAIN_NAMES, ServiceNames, service_names

LEGAL = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
audiences = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def test_the_default_audience_has_the_plain_names() -> None:
    """Bridges, handlers in flight and other programs call them by these names."""
    assert service_names("kallback.results") == ServiceNames("NotifierService", "TaskMonitor", "ConsumedMarks")


def test_another_audience_is_in_its_names() -> None:
    """People see in Restate whose services they are."""
    names = ServiceNames("NotifierService.a.results", "TaskMonitor.a.results", "ConsumedMarks.a.results")
    assert service_names("a.results") == names


@pytest.mark.parametrize("audience", ["all teams", "ünder", "a/b", "x" * 250])
def test_an_audience_that_no_name_may_contain_stands_there_as_a_digest(audience: str) -> None:
    """KALLBACK_AUDIENCE may be any text."""
    assert re.fullmatch(r"TaskMonitor\.[0-9a-f]{32}", service_names(audience).monitor)


@given(audiences, audiences)
def test_two_audiences_never_share_a_name(one: str, other: str) -> None:
    """Otherwise one environment would take over the other's services."""
    if one != other:
        assert set(msgspec.structs.astuple(service_names(one))).isdisjoint(
            msgspec.structs.astuple(service_names(other))
        )


@given(audiences)
def test_every_name_is_one_that_restate_takes(audience: str) -> None:
    """A deployment with another name is refused."""
    assert all(LEGAL.fullmatch(name) for name in msgspec.structs.astuple(service_names(audience)))
    assert PLAIN_NAMES.monitor in service_names(audience).monitor
