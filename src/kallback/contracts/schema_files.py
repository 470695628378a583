"""A contract as JSON Schemas of draft 2020-12, one file each, for generators of code and for validators."""

from __future__ import annotations

from typing import Any, Final

from kallback.contracts.contract import Contract
from kallback.contracts.fits import Located
from kallback.contracts.headers import CANCEL, DETAILS, PROBLEM
from kallback.contracts.schemas import DIALECT

COMMENT: Final = "Written by kallback contract export: do not edit."
"""Marks the files, so that those of task types that are gone can be removed."""


def schema_files_of(contract: Contract) -> dict[str, dict[str, Any]]:
    """By file name: of each task type the request as services write it and the result as they read it.

    Beside them what is the same for all types: `problem.json` (a failure), `progress-details.json`, `cancel.json`.
    """
    found: dict[str, Any] = {}
    for each in contract.types:
        found[f"{each.name}.request.json"] = _whole(each.request.written, f"Request of {each.name}")
        found[f"{each.name}.result.json"] = _whole(each.result.read, f"Result of {each.name}")
    for name, schema in (("problem", PROBLEM), ("progress-details", DETAILS), ("cancel", CANCEL)):
        found[f"{name}.json"] = _whole(Located(schema, schema), str(schema["title"]))
    return found


def _whole(located: Located, title: str) -> dict[str, Any]:
    members = {} if isinstance(located.schema, bool) else located.schema
    return {"$schema": DIALECT, "$comment": COMMENT, "title": title, **members}
