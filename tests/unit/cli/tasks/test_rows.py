"""Rows of pending tasks."""

from __future__ import annotations

from dataclasses import replace

import orjson
from tests.unit.cli.console.environment import TOKEN, pending, running

from kallback.cli.tasks.rows import members_of


def test_json_has_no_token_of_a_key_or_of_details() -> None:
    """A worker may report its token with a heartbeat, and a key may be one; requests in JSON are shortened, too."""
    task = pending(progress=running(orjson.dumps({"token": TOKEN})))
    named = replace(task, invocation=replace(task.invocation, target=f"Shop/order/{TOKEN}"))
    shown = orjson.dumps(members_of(named)).decode()
    assert TOKEN[-22:] not in shown
    assert "sign_1A" not in shown
    assert shown.count("kb1:k1:shop.pack:MTExMTExMTExMTEx:1:") == 2
