"""`kallback dev`: everything that a developer needs on one machine, and the developer's own programs, with reload.

`run_dev` is public as `kallback.testing.run_dev`. `programs` says what runs, purely; `program_group` runs it.
"""

from kallback.testing.dev.programs import Application
from kallback.testing.dev.run import run_dev

__all__ = ["Application", "run_dev"]
