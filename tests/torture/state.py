"""Whether all is well after a fault: one question for every test of faults, load and hostile input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import duckdb

from activity_audit.evidence.verify.verify import verify
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from tests.integration.support import key_differences
from tests.integration.tampering import named
from tests.torture.figures import Figures

# Each sum is of the same events, in any snapshot of a home from which retention deleted nothing.
AGREEING = (
    ("count(*)", "main.fact_activity_event"),
    ("count(distinct event_id)", "main.fact_activity_event"),
    ("sum(event_count)", "main.agg_activity_hourly"),
    ("sum(event_count)", "main.dim_entity_activity"),
    ("sum(accepted)", "quality.feed_reconciliation"),
    ("sum(accepted)", "quality.pipeline_run"),
    ("sum(accepted)", "quality.integrity_ledger"),
)
# The feed hours whose events are not those that are reconciled, or whose records are not accounted for.
UNBALANCED = """
    select feed, feed_hour_utc, accepted, duplicate, quarantined, received, events
    from quality.feed_reconciliation
    full join (select feed, feed_hour_utc, count(*) as events from fact_activity_event group by all) as held
    using (feed, feed_hour_utc)
    where accepted is distinct from coalesce(events, 0) or received <> accepted + duplicate + quarantined
"""


def sums(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Each of the agreeing sums, by what it is of."""
    asked = {f"{sum} of {table}": f"select coalesce({sum}, 0)::bigint from {table}" for sum, table in AGREEING}
    return {name: connection.execute(sql).fetchall()[0][0] for name, sql in asked.items()}


def require_well(
    settings: Settings, delivered: Iterable[str], figures: Figures, damage: Sequence[tuple[str, str]] = ()
) -> None:
    """Fail if an event was lost or doubled, if counts do not balance, or if `audit verify` finds other than `damage`.

    Args:
        settings: The home, with no process at work on it.
        delivered: The id of each event that was delivered and has to be accepted, once each; all that may be there.
        figures: Where events, lost and doubled are counted, before anything fails.
        damage: Layer and problem of each finding that `audit verify` is expected to name.
    """
    expected = Counter(delivered)
    with lake.reader(settings) as connection:
        found = Counter(row[0] for row in connection.execute("select event_id from fact_activity_event").fetchall())
        agreeing = sums(connection)
        unbalanced = connection.execute(UNBALANCED).fetchall()
    lost, more = expected - found, found - expected
    doubled = {event: times for event, times in more.items() if event in expected}
    figures.add(events=len(expected), lost=lost.total(), doubled=sum(doubled.values()))
    assert not lost, f"lost: {list(lost)[:10]}"
    assert not more, f"doubled, or never delivered: {list(more)[:10]}"
    assert len(set(agreeing.values())) == 1, agreeing
    assert unbalanced == []
    assert key_differences(settings) == []
    assert sorted(named(verify(settings).findings)) == sorted(damage)
