"""Names of a package that are imported at their first use, so that a process loads what it uses.

For type checkers, the package imports them below `if TYPE_CHECKING`; then it sets `__getattr__ = lazy_names(...)`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package (PEP 562).

    Args:
        package: its name.
        homes: the module of each public name, relative to the package.
    """

    def import_name(name: str) -> Any:
        """Import the module of a name when it is asked for."""
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return import_name
