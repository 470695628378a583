"""Frozen settings, grouped by concern; `Settings.from_env` is the one reader of the environment.

Every name is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kallback.lazy_names import lazy_names

if TYPE_CHECKING:
    from kallback.settings.dead_letters import DeadLetterSettings
    from kallback.settings.gateway import GatewaySettings
    from kallback.settings.kafka import KafkaSecurity, KafkaSettings, SaslMechanism, SecurityProtocol
    from kallback.settings.keys import KeySettings
    from kallback.settings.logs import LogLine, NamedLog, named_log
    from kallback.settings.oauth import OAuthSettings
    from kallback.settings.restate import HttpVersion, RestateSettings
    from kallback.settings.secret import Secret
    from kallback.settings.settings import Settings
    from kallback.settings.topics import Topics
    from kallback.settings.variables import VARIABLES, Variable

_HOMES: Final = {
    "VARIABLES": "variables",
    "DeadLetterSettings": "dead_letters",
    "GatewaySettings": "gateway",
    "HttpVersion": "restate",
    "KafkaSecurity": "kafka",
    "KafkaSettings": "kafka",
    "KeySettings": "keys",
    "LogLine": "logs",
    "NamedLog": "logs",
    "OAuthSettings": "oauth",
    "RestateSettings": "restate",
    "SaslMechanism": "kafka",
    "Secret": "secret",
    "SecurityProtocol": "kafka",
    "Settings": "settings",
    "Topics": "topics",
    "Variable": "variables",
    "named_log": "logs",
}

__all__ = [
    "VARIABLES",
    "DeadLetterSettings",
    "GatewaySettings",
    "HttpVersion",
    "KafkaSecurity",
    "KafkaSettings",
    "KeySettings",
    "LogLine",
    "NamedLog",
    "OAuthSettings",
    "RestateSettings",
    "SaslMechanism",
    "Secret",
    "SecurityProtocol",
    "Settings",
    "Topics",
    "Variable",
    "named_log",
]

__getattr__ = lazy_names(__name__, _HOMES)
