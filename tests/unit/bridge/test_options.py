"""Options that cannot work are refused."""

from __future__ import annotations

from typing import Any

import pytest

from kallback.bridge import BridgeOptions
from kallback.protocol import ConfigurationError


def test_the_defaults_work() -> None:
    """A bridge needs no options."""
    assert BridgeOptions().concurrency > 0


@pytest.mark.parametrize(
    "options",
    [{"concurrency": 0}, {"max_in_flight": 0}, {"drain_timeout": -1.0}, {"late_grace": float("nan")}, {"writers": 0}],
)
def test_a_number_with_which_nothing_moves(options: dict[str, Any]) -> None:
    """The sentence names the option."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        BridgeOptions(**options)


def test_environments_have_groups_of_their_own() -> None:
    """The group follows the results topic, unless it is named."""
    assert BridgeOptions().group_for("staging.results") == "staging.results.bridge"
    assert BridgeOptions(group="mine").group_for("staging.results") == "mine"


def test_no_drain_may_be_asked_for() -> None:
    """Zero seconds of patience is a choice."""
    assert BridgeOptions(drain_timeout=0.0).drain_timeout == 0
