"""Fixtures that several modules of the unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.expectation_batch import Batch


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """A good batch, and a folder for its docs, which is not there yet."""
    return Batch(tmp_path / "docs")
