"""What `kallback.kafka` loads: the modules of the names that are used, not all of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = "import sys; import {}; print(*sorted(name for name in sys.modules if name.startswith('kallback.kafka.')))"


@pytest.mark.parametrize("package", ["kallback.workers", "kallback.bridge", "kallback.sdk"])
def test_what_is_for_tests_and_for_people_is_not_loaded(package: str) -> None:
    """Neither clients in memory, nor the replay of dead letters, nor an unchosen client: a start is faster."""
    loaded = subprocess.check_output([sys.executable, "-c", LOADED.format(package)], text=True).split()
    slow = ("memory", "aiokafka", "dead_letters.replay", "dead_letters.reader", "topic_admin")
    assert [name for name in loaded if name.removeprefix("kallback.kafka.").startswith(slow)] == []
