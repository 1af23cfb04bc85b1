"""Fixtures of the integration tests that tests of this folder need too."""

from __future__ import annotations

from tests.integration.conftest import column_lineage_is_known, postgres, retention_home

__all__ = ["column_lineage_is_known", "postgres", "retention_home"]
