"""The benchmarks: each runs as `python benchmarks/NAME.py` and as `python -m benchmarks.NAME`."""

import sys
from pathlib import Path

# the scripts import one another as plain modules, which `python benchmarks/NAME.py` makes possible by itself
sys.path.insert(0, str(Path(__file__).parent))
