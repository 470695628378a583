"""The README's example: its files, and how `kallback dev --example` runs them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from kallback.testing.dev.programs import Application

EXAMPLE_FILES: Final = ("shared.py", "handler.py", "worker.py")
EXAMPLE: Final = Application(("handler:app",), ("worker:worker",), ("shared",))


def write_example(folder: Path) -> str:
    """Write the example's files, leaving those that exist as they are; return what became of them in a sentence."""
    folder.mkdir(parents=True, exist_ok=True)
    new = [name for name in EXAMPLE_FILES if not (folder / name).exists()]
    for name in new:
        shutil.copyfile(_example_folder() / name, folder / name)
    kept = [name for name in EXAMPLE_FILES if name not in new]
    sentences = (f"Wrote {', '.join(new)} to {folder}." if new else "", f"Kept {', '.join(kept)}." if kept else "")
    return " ".join(filter(None, sentences))


def _example_folder() -> Path:
    """The wheel carries the example; a checkout has it at its top."""
    here = Path(__file__).parent
    in_wheel = here / "quickstart"
    return in_wheel if in_wheel.is_dir() else here.parents[3] / "examples" / "quickstart"
