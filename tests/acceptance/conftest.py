"""Fixtures of the acceptance tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support import Gate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)
