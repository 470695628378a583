"""What service, worker and attacker of a run share."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Final

from kallback.protocol import TaskType

TASKS_VARIABLE: Final = "ATTACKS_TASKS"
"""The environment variable with the task topic: each attack has a topic of its own."""
LOOP_VARIABLE: Final = "ATTACKS_LOOP"
"""The environment variable with the file of long callbacks; see `attacks.measured`."""
LIMIT_VARIABLE: Final = "ATTACKS_LIMIT"
"""The environment variable with the file that a process writes its id to, so that its memory is limited."""
GROUP_VARIABLE: Final = "ATTACKS_GROUP"
"""The environment variable with the worker's group: each attack has one of its own, too."""
WORK_VARIABLE: Final = "ATTACKS_WORK"
"""The environment variable with the seconds that a good call's work takes."""
LONG: Final = -1
"""The request of a task whose work takes longer than a heartbeat."""

good: Final = TaskType(
    "attacks.good",
    request=int,
    result=int,
    topic=os.environ.get(TASKS_VARIABLE, "attacks.good"),
    timeout=timedelta(minutes=10),
)
"""The good calls: `n` is answered with `n + 1`."""
