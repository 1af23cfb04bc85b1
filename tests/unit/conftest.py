"""Fixtures that several modules of the unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.expectation_batch import Batch
from tests.unit.raw_lake import Feeds


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """A good batch, and a folder for its docs, which is not there yet."""
    return Batch(tmp_path / "docs")


@pytest.fixture
def feeds(tmp_path: Path) -> Feeds:
    """A landing folder and a raw lake, both empty."""
    return Feeds(tmp_path)
