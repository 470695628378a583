"""Frozen settings, grouped by concern; `Settings.from_env` is the one reader of the environment."""

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
