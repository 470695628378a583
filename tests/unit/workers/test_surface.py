"""The public surface: what is in it stays, what is not in it may change."""

from __future__ import annotations

import inspect
import subprocess
import sys

import kallback.workers
from kallback.workers import TaskContext, Worker, WorkerCounts


def public(kind: type) -> set[str]:
    """The public names of a class and its instances."""
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_public_names_are_these() -> None:
    """A name is added or taken away on purpose only."""
    assert kallback.workers.__all__ == [
        "Acknowledge",
        "Client",
        "Executor",
        "KafkaClients",
        "StopReason",
        "TaskContext",
        "TaskFailure",
        "Worker",
        "WorkerCounts",
        "WorkerOptions",
    ]


def test_a_worker_has_these_members() -> None:
    """What users call on a worker."""
    doing = {"run", "start", "stop", "task"}
    options = {
        "use_client",
        "use_concurrency",
        "use_drain_timeout",
        "use_failing_of_unknown_types",
        "use_instance_id",
        "use_session_timeout",
        "use_tracing",
    }
    telling = {"counts", "durations", "function_of", "group_status", "phase", "running"}
    cancels = {"control_records", "control_unread", "refused_cancels", "refused_writes"}
    assert public(Worker) == doing | options | telling | cancels | {"task_types"}
    assert str(inspect.signature(Worker.run)) == "(self) -> 'None'"


def test_a_context_has_these_members() -> None:
    """What task functions use."""
    assert public(TaskContext) | set(vars(TaskContext("t"))) >= {
        "attempt",
        "cancel",
        "cancelled",
        "deadline",
        "heartbeat",
        "last_details",
        "log",
        "stop_reason",
        "task_id",
        "task_type",
        "time_left",
        "traceparent",
        "tracestate",
    }


def test_counts_are_these() -> None:
    """What metrics will be made of."""
    assert public(WorkerCounts) == {
        "abandoned",
        "attached",
        "cancelled",
        "completed",
        "dead_letter_reasons",
        "dead_lettered",
        "dropped",
        "expired",
        "failed",
        "handed_back",
        "retried",
        "skipped_cancelled",
        "skipped_expired",
    }


def test_importing_it_imports_neither_restate_nor_a_kafka_client() -> None:
    """Clients are imported when a worker starts; restate and confluent-kafka never."""
    code = "import sys, kallback.workers; print({'restate', 'confluent_kafka', 'aiokafka'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "set()"
