"""Objects of the user's own that a variable names as MODULE:NAME, such as a codec or a token provider."""

from __future__ import annotations

import importlib
import sys

from kallback.protocol.errors import ConfigurationError


def named_object(variable: str, target: str, what: str) -> object:
    """Return the object; None if the module has no such name. The module is also looked for in the current folder.

    Args:
        variable: that holds the target, for sentences.
        target: MODULE:NAME.
        what: is named: "a codec".

    Raises:
        ConfigurationError: the target has another shape, or the module cannot be imported.
    """
    module, _, name = target.partition(":")
    if not module or not name.isidentifier():
        raise ConfigurationError(f"{variable}={target!r} does not name {what}: write MODULE:NAME")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name, None)
    except Exception as error:  # noqa: BLE001 - the user's module may raise anything
        raise ConfigurationError(
            f"{variable}={target!r} cannot be imported ({type(error).__name__}: {error}): install the module beside "
            "kallback, or start in its folder"
        ) from None
