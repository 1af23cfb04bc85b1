"""What a GraphQL request to Dagster asks for: it may look, or change something."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
)
from graphql.language import FieldNode, FragmentSpreadNode, InlineFragmentNode

# Those of Dagster's pages are a tenth of it; to parse a text of megabytes takes many seconds. Partitions are variables.
_LONGEST = 200_000
# What Dagster's pages send by themselves while somebody looks; nothing of the runs is changed by it.
_HARMLESS = {"logTelemetry", "setNuxSeen"}


class BadOperationError(ValueError):
    """The request is no GraphQL request; the message says why."""


@dataclass(frozen=True)
class Operation:
    """One request, with the names of what it would change: fields of Dagster's mutations, such as `launchRun`."""

    query: str
    variables: dict[str, Any] | None
    name: str | None
    changes: tuple[str, ...]

    def as_json(self) -> bytes:
        """The request as Dagster reads it, with nothing in it that was not looked at."""
        given = {"query": self.query, "variables": self.variables, "operationName": self.name}
        return json.dumps({key: value for key, value in given.items() if value is not None}).encode()


def read(body: bytes | str) -> Operation:
    """The request of a JSON text.

    Raises:
        BadOperationError: if it is none.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise BadOperationError("the request is not JSON") from None
    if not isinstance(given, dict):
        raise BadOperationError("the request must be one JSON object")
    query, variables, name = given.get("query"), given.get("variables"), given.get("operationName")
    if not isinstance(query, str) or not isinstance(variables, dict | None) or not isinstance(name, str | None):
        raise BadOperationError("query must be a text, variables an object, and operationName a text")
    return Operation(query, variables, name, changes(query))


def changes(query: str) -> tuple[str, ...]:
    """What a GraphQL document would change, whichever of its operations is executed.

    Raises:
        BadOperationError: if it is no GraphQL.
    """
    if len(query) > _LONGEST:
        raise BadOperationError(f"the query is longer than {_LONGEST:,} characters")
    try:
        definitions = parse(query, no_location=True).definitions
    except GraphQLError as error:
        raise BadOperationError(f"the query is not GraphQL: {error.message}") from None
    except RecursionError:
        raise BadOperationError("the query is nested too deeply") from None
    fragments = {one.name.value: one.selection_set for one in definitions if isinstance(one, FragmentDefinitionNode)}
    found: dict[str, None] = {}
    for one in definitions:
        if isinstance(one, OperationDefinitionNode) and one.operation == OperationType.MUTATION:
            found |= dict.fromkeys(_fields(one.selection_set, fragments, set()))
    return tuple(name for name in found if name not in _HARMLESS)


def _fields(chosen: SelectionSetNode, fragments: dict[str, SelectionSetNode], seen: set[str]) -> list[str]:
    found = []
    for one in chosen.selections:
        if isinstance(one, FieldNode):
            found.append(one.name.value)
        elif isinstance(one, InlineFragmentNode):
            found += _fields(one.selection_set, fragments, seen)
        elif isinstance(one, FragmentSpreadNode) and one.name.value not in seen:
            # A fragment that is not there, or is in itself, is what Dagster refuses.
            seen.add(one.name.value)
            if one.name.value in fragments:
                found += _fields(fragments[one.name.value], fragments, seen)
    return found
