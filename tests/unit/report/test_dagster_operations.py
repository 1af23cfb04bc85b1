"""What a GraphQL request would change in Dagster, and what is no request."""

from __future__ import annotations

import json

import pytest

from activity_audit.report.dagster_door.operations import BadOperationError, changes, read


def test_what_a_document_changes_is_told_whatever_is_around_it() -> None:
    document = 'fragment F on Mutation { terminateRun(runId: "1") { __typename } } mutation { ...F launchRun { x } }'
    assert changes(document) == ("terminateRun", "launchRun")
    assert changes("query { mutation: runs { id } }") == ()
    assert read(json.dumps({"query": "mutation { logTelemetry { x } }"})).changes == ()


def test_a_document_that_would_take_long_is_not_parsed() -> None:
    aliases = " ".join(f"a{number}: version" for number in range(20_000))
    with pytest.raises(BadOperationError, match="longer than 200,000 characters"):
        changes(f"query {{ {aliases} }}")
    assert (
        read(json.dumps({"query": "{ version }", "variables": {"keys": ["2026-05-01-10:00"] * 50_000}})).changes == ()
    )
