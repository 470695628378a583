"""`kallback completion`: what a shell asks, and what it is answered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest


def complete(words: str, *, code: str = "from kallback.cli import main; main()") -> subprocess.CompletedProcess[str]:
    """Ask as bash does: the words of the line, the last one incomplete."""
    asked = {"_KALLBACK_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def words_of(result: subprocess.CompletedProcess[str]) -> list[str]:
    """The words that are offered."""
    return [line.partition(",")[2] for line in result.stdout.splitlines()]


def test_commands_are_offered() -> None:
    """Those that begin so."""
    assert words_of(complete("kallback to")) == ["topics", "token"]


def test_subcommands_and_options_are_offered() -> None:
    """Of the command that was typed."""
    assert words_of(complete("kallback topics ")) == ["check", "create"]
    assert "--dry-run" in words_of(complete("kallback topics create --"))


def test_offering_commands_imports_none_of_them() -> None:
    """Each would cost start-up time, and some extras may be missing."""
    code = (
        "import sys\nfrom kallback.cli import main\ntry:\n    main()\nfinally:\n"
        "    print([name for name in sys.modules if name.startswith('kallback.cli.commands.')], file=sys.stderr)"
    )
    result = complete("kallback ", code=code)
    assert ("bridge" in words_of(result), result.stderr.strip()) == (True, "[]")


def test_a_missing_extra_writes_nothing_into_the_line() -> None:
    """The shell shows what is written to stderr in the middle of the line that is typed."""
    code = "import sys; sys.modules['httptools'] = None\nfrom kallback.cli import main; main()"
    result = complete("kallback bridge --", code=code)
    assert (result.stdout, result.stderr, result.returncode) == ("", "", 1)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_can_read(shell: str) -> None:
    """Checked by the shell itself, where it is installed."""
    command = [sys.executable, "-m", "kallback.cli", "completion", shell]
    script = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "_KALLBACK_COMPLETE" in script
    found = shutil.which(shell)
    if found is not None:
        subprocess.run([found, "-n"], input=script, text=True, check=True, timeout=60)


def test_a_shell_that_is_not_known_is_refused() -> None:
    """The sentence lists those that are."""
    command = [sys.executable, "-m", "kallback.cli", "completion", "tcsh"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode, "bash" in result.stderr) == (2, True)
