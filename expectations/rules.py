"""A rule: one expectation as data, independent of any engine. The suites' modules have the rules.

SQL in a rule names its relations in full and runs as it stands, so that the data docs can show it.
"""

from __future__ import annotations

from dataclasses import dataclass

from activity_audit.base.vocabulary import STAGED_FACT

JUDGED_RECORD = "work.intermediate.int_judged_record"
STAGED_KEYS = "work.quality.known_event_id"
STAGED_DIMENSION = "work.main.dim_entity_activity"
RECONCILIATION = "work.quality.feed_reconciliation"
SET_ASIDE = "work.raw.set_aside"
VANISHED = "work.quality.vanished_event"
DELIVERY = "work.raw.delivery"
RUN_CONTEXT = "work.raw.run_context"
PUBLISHED_KEYS = "audit.quality.known_event_id"

# What says to a person which row is meant.
_POSITION = "feed, feed_hour_utc, source_uri, source_record"
LOCATORS = {
    JUDGED_RECORD: _POSITION,
    STAGED_FACT: f"event_id, {_POSITION}",
    RECONCILIATION: "feed, feed_hour_utc",
    SET_ASIDE: "feed, feed_hour_utc",
    VANISHED: "event_id, feed, feed_hour_utc",
}


@dataclass(frozen=True)
class NotNull:
    """No row has a null in `column`."""

    column: str

    @property
    def unexpected(self) -> str:
        """The SQL predicate of an unexpected row."""
        return f"{self.column} is null"


@dataclass(frozen=True)
class InSet:
    """`column` is one of `values`; a null is not judged."""

    column: str
    values: tuple[str, ...]

    @property
    def unexpected(self) -> str:
        """The SQL predicate of an unexpected row."""
        values = ", ".join("'" + value.replace("'", "''") + "'" for value in self.values)
        return f"{self.column} not in ({values})"


@dataclass(frozen=True)
class Unique:
    """No value of `column` occurs twice; every row of a repeated value is unexpected; nulls are not judged."""

    column: str
    relation: str

    @property
    def unexpected(self) -> str:
        """The SQL predicate of an unexpected row."""
        return (
            f"{self.column} in (select {self.column} from {self.relation} where {self.column} is not null "
            f"group by {self.column} having count(*) > 1)"
        )


@dataclass(frozen=True)
class UnexpectedRows:
    """`query` returns no row.

    Attributes:
        query: SQL that returns the unexpected items, with the columns that a sample shows.
        evaluated: the SQL aggregate over the rule's relation that counts the items the query judges.
        column: the column that is judged, if it is one.
        predicate: where the query is of single rows of the rule's relation, the SQL condition of an unexpected one;
            many such rules are counted in one scan.
    """

    query: str
    evaluated: str = "count(*)"
    column: str | None = None
    predicate: str | None = None


@dataclass(frozen=True)
class Rule:
    """One expectation.

    Attributes:
        id: snake_case, unique over all suites; also its key in `tolerances.toml`.
        title: one line for people.
        why: what it protects and why, in a sentence for an auditor.
        relation: the relation that it is evaluated on.
        check: what is expected.
        always_error: a failure is an error however small; it has no tolerance.
    """

    id: str
    title: str
    why: str
    relation: str
    check: NotNull | InSet | Unique | UnexpectedRows
    always_error: bool = False

    @property
    def unexpected_query(self) -> str:
        """SQL that returns the unexpected items, with the columns that a sample shows."""
        if isinstance(self.check, UnexpectedRows):
            return self.check.query
        columns = _columns(self.relation, self.check.column)
        return f"select {columns} from {self.relation} where {self.check.unexpected}"


def rows(
    relation: str, unexpected: str, *show: str, applies: str | None = None, column: str | None = None
) -> UnexpectedRows:
    """No row of `relation` that `applies` (default: every row) is `unexpected`, both SQL predicates.

    A sample shows where the row is from and the columns `show`.
    """
    where = f"({applies}) and ({unexpected})" if applies else unexpected
    return UnexpectedRows(
        query=f"select {_columns(relation, *show)} from {relation} where {where}",
        evaluated=f"count(*) filter (where {applies})" if applies else "count(*)",
        column=column,
        predicate=where,
    )


def _columns(relation: str, *show: str) -> str:
    locator = LOCATORS[relation].split(", ")
    return ", ".join(locator + [column for column in show if column not in locator])
