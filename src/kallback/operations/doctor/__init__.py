"""Why a task does not end: looks at Restate, Kafka, bridges and workers, and names the remedy of each finding."""

from kallback.operations.doctor.examine import Examination, Sources, service_check
from kallback.operations.doctor.findings import Finding, Severity

__all__ = ["Examination", "Finding", "Severity", "Sources", "service_check"]
