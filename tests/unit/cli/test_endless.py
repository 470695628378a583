"""How commands end that show what happens until somebody stops them."""

from __future__ import annotations

import pytest

from kallback.cli.endless import until_interrupted


def test_ctrl_c_is_the_end_of_an_endless_command() -> None:
    """`--watch` and `--follow` have no other."""
    with until_interrupted(endless=True):
        raise KeyboardInterrupt


def test_ctrl_c_aborts_any_other_command() -> None:
    """Its exit code then says that it was not done."""
    with pytest.raises(KeyboardInterrupt), until_interrupted(endless=False):
        raise KeyboardInterrupt
