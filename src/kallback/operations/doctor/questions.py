"""Removes the doctor's own questions, which wait in Restate for a service that gives no answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from kallback.bridge.restate.services import QUESTION
from kallback.operations.introspection import Introspection

_KEY: Final = re.compile(rf"{QUESTION}[0-9a-z-]+", re.ASCII)


class _QuestionRow(msgspec.Struct):
    id: str


async def withdraw(introspection: Introspection, keys: Sequence[str]) -> None:
    """Remove the invocations of questions; raises as `Introspection.rows`.

    Args:
        introspection: of the Restate that was asked.
        keys: idempotency keys of the questions.
    """
    named = ", ".join(f"'{each}'" for each in keys if _KEY.fullmatch(each))
    if named:
        sql = f"SELECT id FROM sys_invocation_status WHERE idempotency_key IN ({named})"  # noqa: S608 - checked keys
        for row in await introspection.rows(sql, _QuestionRow):
            await introspection.kill(row.id)
