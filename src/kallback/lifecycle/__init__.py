"""How long-running parts start, run and stop: supervised work, retries with backoff, throttled log lines.

Every process of kallback (bridge, worker, service, command) is made of such parts. The rules are here once: a part
that ends unexpectedly is reported, a retry waits with jitter, a repeated event is logged once per interval.

Every name is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.lazy_names import lazy_names

if TYPE_CHECKING:
    from kallback.lifecycle.backoff import Backoff, ReplacementPace, retry
    from kallback.lifecycle.call_thread import CallThread
    from kallback.lifecycle.daemon_call import daemon_call
    from kallback.lifecycle.forks import restore_signals_in_forks
    from kallback.lifecycle.in_turn import InTurn
    from kallback.lifecycle.listeners import close_listener
    from kallback.lifecycle.log_ration import LogRation, ration_loggers
    from kallback.lifecycle.log_throttle import LogThrottle
    from kallback.lifecycle.recent_keys import RecentKeys
    from kallback.lifecycle.start_stop import StartStop
    from kallback.lifecycle.stopping import StopDeadline
    from kallback.lifecycle.supervisor import Supervisor, UnexpectedEndError

_HOMES: Final = {
    "Backoff": "backoff",
    "CallThread": "call_thread",
    "InTurn": "in_turn",
    "LogRation": "log_ration",
    "LogThrottle": "log_throttle",
    "RecentKeys": "recent_keys",
    "ReplacementPace": "backoff",
    "StartStop": "start_stop",
    "StopDeadline": "stopping",
    "Supervisor": "supervisor",
    "UnexpectedEndError": "supervisor",
    "close_listener": "listeners",
    "daemon_call": "daemon_call",
    "ration_loggers": "log_ration",
    "restore_signals_in_forks": "forks",
    "retry": "backoff",
}

__all__ = [
    "Backoff",
    "CallThread",
    "InTurn",
    "LogRation",
    "LogThrottle",
    "RecentKeys",
    "ReplacementPace",
    "StartStop",
    "StopDeadline",
    "Supervisor",
    "UnexpectedEndError",
    "close_listener",
    "daemon_call",
    "ration_loggers",
    "restore_signals_in_forks",
    "retry",
]

__getattr__ = lazy_names(__name__, _HOMES)
