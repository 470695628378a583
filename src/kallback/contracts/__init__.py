"""Contracts of task types: exported as AsyncAPI and JSON Schemas, compared, and checked against a worker.

Imports neither a Kafka client nor Restate: who exports, compares or checks a contract needs no server.
"""

from kallback.contracts.asyncapi import asyncapi_of
from kallback.contracts.contract import Contract, Payload, TypeContract, contract_of
from kallback.contracts.diff import ChangeSeverity, ContractFinding, Side, diff
from kallback.contracts.reading import read_contract
from kallback.contracts.schema_files import COMMENT, schema_files_of
from kallback.contracts.worker_check import check_worker

__all__ = [
    "COMMENT",
    "ChangeSeverity",
    "Contract",
    "ContractFinding",
    "Payload",
    "Side",
    "TypeContract",
    "asyncapi_of",
    "check_worker",
    "contract_of",
    "diff",
    "read_contract",
    "schema_files_of",
]
