"""A missing extra ends in the command to type."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from kallback.protocol.errors import MissingExtraError


@contextmanager
def needs_extra(extra: str) -> Generator[None]:
    """Turn a failing import inside the block into the command that installs the extra.

    Raises:
        MissingExtraError: a package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("kallback"):
            raise
        raise MissingExtraError(f'{error.name} is not installed: pip install "kallback[{extra}]"') from None
