"""Why a task does not end: looks at Restate, Kafka, bridges and workers, and names the remedy of each finding."""

from kallback.operations.doctor.examine import Examination
from kallback.operations.doctor.findings import Finding, Severity
from kallback.operations.doctor.questions import withdraw
from kallback.operations.doctor.servers import Sources, service_check

__all__ = ["Examination", "Finding", "Severity", "Sources", "service_check", "withdraw"]
