"""What the fuzzing tests share are modules beside them; tests are no package."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "unit" / "report")]  # runs.py, gitlab_schemas.py
