"""`--insecure`: the published development key, for the commands that verify tokens."""

from __future__ import annotations

import os

from kallback.cli.help import option
from kallback.settings import Settings

insecure_option = option(
    "--insecure",
    is_flag=True,
    help="Accept tokens signed with the published development key. Anyone can forge them: use it only for tests.",
)


def settings_from_env(*, insecure: bool) -> Settings:
    """Read the environment's settings; `--insecure` has the effect of KALLBACK_INSECURE=1."""
    return Settings.from_env({**os.environ, "KALLBACK_INSECURE": "1"} if insecure else os.environ)
