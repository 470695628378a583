"""Create Kafka's users and their permissions, one user per role; a second run changes nothing.

Runs where Kafka needs no password (see compose.secured.yaml) or as an administrator, with the usual KALLBACK_KAFKA_*
variables. Passwords come from KAFKA_<USER>_PASSWORD. The table in docs/deploy.md says the same as `ACCESS`; a test
compares them, takes away each line in turn, and looks at what then fails.
"""

# confluent_kafka.admin re-exports without saying so, and its futures say not of what:
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import os
from dataclasses import dataclass

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from kallback.kafka.confluent.client import confluent_config
from kallback.settings import Settings

ITERATIONS = 8192
TIMEOUT_S = 30


@dataclass(frozen=True)
class Permission:
    """One ACL: which user may do what with which topic or group."""

    user: str
    operation: str
    kind: str
    name: str
    prefixed: bool = False

    def binding(self) -> AclBinding:
        """Return it as Kafka's client takes it."""
        pattern = ResourcePatternType.PREFIXED if self.prefixed else ResourcePatternType.LITERAL
        return AclBinding(
            ResourceType[self.kind],
            self.name,
            pattern,
            f"User:{self.user}",
            "*",
            AclOperation[self.operation],
            AclPermissionType.ALLOW,
        )


ACCESS = (
    Permission("topics", "CREATE", "TOPIC", "kallback.", prefixed=True),
    Permission("topics", "CREATE", "TOPIC", "restaurant.prepare"),
    Permission("topics", "CREATE", "TOPIC", "bakery.bake"),
    Permission("topics", "DESCRIBE", "TOPIC", "kallback.", prefixed=True),
    Permission("topics", "DESCRIBE", "TOPIC", "restaurant.prepare"),
    Permission("topics", "DESCRIBE", "TOPIC", "bakery.bake"),
    Permission("topics", "DESCRIBE_CONFIGS", "TOPIC", "kallback.", prefixed=True),
    Permission("topics", "DESCRIBE_CONFIGS", "TOPIC", "restaurant.prepare"),
    Permission("topics", "DESCRIBE_CONFIGS", "TOPIC", "bakery.bake"),
    Permission("bridge", "READ", "TOPIC", "kallback.results"),
    Permission("bridge", "READ", "GROUP", "kallback.results.bridge"),
    Permission("bridge", "READ", "TOPIC", "kallback.progress"),
    Permission("bridge", "READ", "GROUP", "kallback.results.bridge.progress"),
    Permission("bridge", "WRITE", "TOPIC", "kallback.outcomes"),
    Permission("bridge", "WRITE", "TOPIC", "kallback.dead-letters"),
    Permission("service", "WRITE", "TOPIC", "restaurant.prepare"),
    Permission("service", "WRITE", "TOPIC", "bakery.bake"),
    Permission("service", "WRITE", "TOPIC", "kallback.control"),
    Permission("worker", "READ", "TOPIC", "restaurant.prepare"),
    Permission("worker", "READ", "GROUP", "kitchen"),
    Permission("worker", "READ", "TOPIC", "bakery.bake"),
    Permission("worker", "READ", "GROUP", "bakery"),
    Permission("worker", "READ", "TOPIC", "kallback.control"),
    Permission("worker", "WRITE", "TOPIC", "kallback.results"),
    Permission("worker", "WRITE", "TOPIC", "kallback.progress"),
    Permission("worker", "WRITE", "TOPIC", "kallback.dead-letters"),
    Permission("gateway", "WRITE", "TOPIC", "kallback.results"),
    Permission("gateway", "WRITE", "TOPIC", "kallback.progress"),
    Permission("console", "READ", "TOPIC", "restaurant.prepare"),
    Permission("console", "READ", "TOPIC", "bakery.bake"),
    Permission("console", "READ", "TOPIC", "kallback.outcomes"),
    Permission("console", "READ", "TOPIC", "kallback.dead-letters"),
    Permission("console", "DESCRIBE", "TOPIC", "kallback.results"),
    Permission("console", "DESCRIBE", "GROUP", "kallback.results.bridge"),
    Permission("console", "WRITE", "TOPIC", "kallback.results"),
    Permission("console", "WRITE", "TOPIC", "kallback.control"),
    Permission("console", "WRITE", "TOPIC", "kallback.dead-letters"),
)
"""What kallback's roles need."""

EXAMPLE = (
    Permission("topics", "CREATE", "TOPIC", "driver-updates"),
    Permission("topics", "DESCRIBE", "TOPIC", "driver-updates"),
    Permission("topics", "DESCRIBE_CONFIGS", "TOPIC", "driver-updates"),
    Permission("drivers", "WRITE", "TOPIC", "driver-updates"),
    Permission("drivers", "READ", "TOPIC", "driver-updates"),
    Permission("drivers", "READ", "GROUP", "restate.driver-updates"),
)
"""What the food-ordering example adds."""

USERS = ("admin", "topics", "bridge", "service", "worker", "gateway", "console", "drivers")


def main() -> None:
    """Create all users and permissions."""
    admin = AdminClient(confluent_config(Settings.from_env().kafka, {}))
    for user in USERS:
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        password = os.environ[f"KAFKA_{user.upper()}_PASSWORD"].encode()
        wanted = UserScramCredentialUpsertion(user, info, password)
        admin.alter_user_scram_credentials([wanted])[user].result(TIMEOUT_S)
    for future in admin.create_acls([each.binding() for each in (*ACCESS, *EXAMPLE)]).values():
        future.result(TIMEOUT_S)
    print(f"{len(USERS)} users, {len(ACCESS) + len(EXAMPLE)} permissions")


if __name__ == "__main__":
    main()
