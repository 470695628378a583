"""`benchmarks` is run from the repository, never installed: put it on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
