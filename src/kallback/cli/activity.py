"""Says on a terminal what a command is waiting for, once that takes longer than a second. Output stays untouched."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

_PATIENCE_S: Final = 1.0

Update = Callable[[str], None]


@contextmanager
def activity(text: str, *, beside_output: bool = False) -> Generator[Update]:
    """Show a spinner with this text on standard error while the body runs; yields what changes the text.

    Nothing is shown where standard error is no terminal, nor in the first second.

    Args:
        text: what is being done.
        beside_output: the body prints; then nothing is shown if the output goes to a terminal, too.
    """
    if not sys.stderr.isatty() or (beside_output and sys.stdout.isatty()):
        yield _ignore
        return
    from rich.console import Console  # noqa: PLC0415 - most commands are done before it would be loaded
    from rich.live import Live  # noqa: PLC0415 - as above
    from rich.spinner import Spinner  # noqa: PLC0415 - as above

    spinner = Spinner("dots", text=text)
    live = Live(  # standard output may be a pipe: rich would send it to the terminal
        spinner, console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    )
    timer = threading.Timer(_PATIENCE_S, live.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda new: spinner.update(text=new)
    finally:
        timer.cancel()
        timer.join()
        live.stop()


def _ignore(_text: str) -> None:
    pass
