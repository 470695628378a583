"""For tests: without servers (`run_task`, `HandlerTest`), and on real ones that start in seconds.

Also the pytest plugin with the fixtures (`kallback.testing.pytest_plugin`) and `kallback dev`. pytest imports this
package wherever kallback is installed, so every name is loaded at its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from kallback.protocol.errors import MissingExtraError

if TYPE_CHECKING:
    from kallback.testing.clients.restate import Admin, Ingress, RestateError
    from kallback.testing.clients.service_endpoint import Endpoint, ServiceProcess, serve_endpoint
    from kallback.testing.dev import Application, run_dev
    from kallback.testing.errors import (
        NoServerError,
        NotOursError,
        NotSimulatedError,
        ServerStartError,
        StuckHandlerError,
    )
    from kallback.testing.in_memory.handler_test import HandlerTest
    from kallback.testing.in_memory.run_task import TaskRun, run_task
    from kallback.testing.in_memory.scripted_worker import Script, ScriptedWorker, SentTask
    from kallback.testing.polling import eventually
    from kallback.testing.servers.base import KafkaServer, RestateServer, Server
    from kallback.testing.stack import KafkaOptions, RestateOptions, Stack, start_kafka, start_restate, start_stack
    from kallback.testing.topics import TopicFactory

_HOMES: Final = {
    "Admin": "clients.restate",
    "Application": "dev",
    "Endpoint": "clients.service_endpoint",
    "HandlerTest": "in_memory.handler_test",
    "Ingress": "clients.restate",
    "KafkaOptions": "stack",
    "KafkaServer": "servers.base",
    "NoServerError": "errors",
    "NotOursError": "errors",
    "NotSimulatedError": "errors",
    "RestateError": "clients.restate",
    "RestateOptions": "stack",
    "RestateServer": "servers.base",
    "Script": "in_memory.scripted_worker",
    "ScriptedWorker": "in_memory.scripted_worker",
    "SentTask": "in_memory.scripted_worker",
    "Server": "servers.base",
    "ServerStartError": "errors",
    "ServiceProcess": "clients.service_endpoint",
    "Stack": "stack",
    "StuckHandlerError": "errors",
    "TaskRun": "in_memory.run_task",
    "TopicFactory": "topics",
    "eventually": "polling",
    "run_dev": "dev",
    "run_task": "in_memory.run_task",
    "serve_endpoint": "clients.service_endpoint",
    "start_kafka": "stack",
    "start_restate": "stack",
    "start_stack": "stack",
}

__all__ = [
    "Admin",
    "Application",
    "Endpoint",
    "HandlerTest",
    "Ingress",
    "KafkaOptions",
    "KafkaServer",
    "NoServerError",
    "NotOursError",
    "NotSimulatedError",
    "RestateError",
    "RestateOptions",
    "RestateServer",
    "Script",
    "ScriptedWorker",
    "SentTask",
    "Server",
    "ServerStartError",
    "ServiceProcess",
    "Stack",
    "StuckHandlerError",
    "TaskRun",
    "TopicFactory",
    "eventually",
    "run_dev",
    "run_task",
    "serve_endpoint",
    "start_kafka",
    "start_restate",
    "start_stack",
]


def __getattr__(name: str) -> Any:
    """Load the module of a public name; say which extra is missing if it cannot be."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("kallback"):
            raise
        raise MissingExtraError(
            f'kallback.testing.{name} needs {error.name}: pip install "kallback[testing]"', name=error.name
        ) from error
