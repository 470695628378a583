"""`MODULE:NAME` of a command line: what it names."""

from __future__ import annotations

import importlib

from kallback.protocol.errors import ConfigurationError


def load_target(target: str, *, what: str, example: str) -> object:
    """Import what MODULE:NAME names; None if the module has no such name.

    Args:
        target: the text of the command line.
        what: the kind of thing, for the sentence: "a worker".
        example: how it is written: "kitchen:worker".

    Raises:
        ConfigurationError: the text has another shape, or there is no such module.
    """
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise ConfigurationError(f"{target!r} does not name {what}: write MODULE:NAME, like {example}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise ConfigurationError(
            f"there is no module {module_name!r} here: run the command in the folder that holds it, or install it"
        ) from None
    found: object = getattr(module, name, None)
    return found
