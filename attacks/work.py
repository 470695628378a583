"""What service, worker and attacker of a run share."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Final

from kallback.protocol import RetryPolicy, TaskType

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

_TOPIC: Final = os.environ.get(TASKS_VARIABLE, "attacks.good")
PATIENT_SUFFIX: Final = ".patient"
"""After the name of the task topic: the topic of the tasks that may be handed back."""

good: Final = TaskType(
    "attacks.good",
    request=int,
    result=int,
    topic=_TOPIC,
    timeout=timedelta(minutes=10),
)
"""The good calls: `n` is answered with `n + 1`."""

patient: Final = TaskType(
    "attacks.patient",
    request=int,
    result=int,
    topic=_TOPIC + PATIENT_SUFFIX,
    timeout=timedelta(minutes=10),
    retry=RetryPolicy(),
)
"""Its tasks may be handed back; only an attacker reads them."""
