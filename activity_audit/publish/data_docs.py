"""Brings the data docs up to what the warehouse holds: the runs that it has and that they lack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from activity_audit.base.hours import aware, naive, now_utc
from activity_audit.ledger import digests
from activity_audit.settings.core import Settings
from activity_audit.warehouse import coverage, known_ids, lake, verdicts

if TYPE_CHECKING:
    import duckdb

    from expectations.docs_index import Order

# To draw a run's page takes some tenths of a second, and a home may be new to a warehouse of many runs.
MOST_AT_ONCE = 20


def complete(
    connection: duckdb.DuckDBPyConnection, settings: Settings, warn: Callable[[str], None], run_id: str | None = None
) -> None:
    """Write the newest runs that the docs lack, what became of those of which they do not say it, and the front page.

    The caller holds the run lock. A run is shown as published only if it is in `quality.pipeline_run`. Docs that cannot
    be written change nothing else: `warn` is called with what is wrong, and what to do.

    Args:
        connection: one that has the warehouse attached as `audit`.
        settings: of the home whose docs they are.
        warn: called at most once, with a sentence or two.
        run_id: a run that is written whatever its time is, as after a clock was set back.
    """
    import duckdb

    from expectations.docs_site import DocsSite
    from expectations.runner import TITLES

    try:
        _complete(connection, settings, DocsSite(settings.docs_dir, TITLES, _order(connection, settings)), run_id)
    except OSError as error:
        warn(
            f"the data docs have no page for this run, because {error.filename or settings.docs_dir} "
            f"cannot be written: {error.strerror or error}; the results are in quality.validation_result, "
            "and the next run that can write there adds the page"
        )
    except duckdb.Error as error:
        warn(
            f"the data docs have no page for this run, because the warehouse cannot be read: {error}; the "
            "next run adds it"
        )


def _complete(connection: duckdb.DuckDBPyConnection, settings: Settings, site: Any, run_id: str | None) -> None:
    if unsaid := site.unsaid():
        site.settle(_published(connection, unsaid) & set(unsaid))
    known, since = site.known()
    # The newest that the docs have is where they were complete.
    rows = lake.rows(
        connection,
        """
        select run_id, max(validated_at_utc) as validated_at_utc from audit.quality.validation_result
        where validated_at_utc >= ? or run_id = ? group by run_id order by validated_at_utc desc, run_id desc
        """,
        [naive(since), run_id],
    )
    missing = [row for row in rows if row["run_id"] not in known][:MOST_AT_ONCE]
    if not missing:
        site.refresh()
        return
    from expectations import conformance, docs, feed_contract

    published = _published(connection, [row["run_id"] for row in missing])
    runs = [
        docs.CheckedRun(
            row["run_id"],
            aware(row["validated_at_utc"]),
            row["run_id"] in published,
            _results(connection, row["run_id"], row["validated_at_utc"]),
        )
        for row in reversed(missing)
    ]
    rules = {
        feed_contract.NAME: feed_contract.rules(),
        conformance.NAME: conformance.rules(
            record_sha256_sql=digests.STAGED_SHA256,
            event_id_key_sql=known_ids.event_id_key(),
            future_tolerance_seconds=int(settings.future_tolerance.total_seconds()),
        ),
    }
    docs.write(site, runs, rules, settings.docs_runs)


def _order(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Order:
    from expectations.docs_index import Order

    now = now_utc()
    found = verdicts.now_judged(coverage.asking(connection), settings, now)
    return Order(now, [(one.area, one.level, verdicts.WORDS[one.level], one.answer) for one in found.verdicts])


def _published(connection: duckdb.DuckDBPyConnection, run_ids: list[str]) -> set[str]:
    rows = connection.execute(
        "select run_id from audit.quality.pipeline_run where list_contains(?, run_id)", [run_ids]
    ).fetchall()
    return {row[0] for row in rows}


def _results(connection: duckdb.DuckDBPyConnection, run_id: str, validated_at: Any) -> list[Any]:
    from expectations.results import ExpectationResult

    rows = connection.execute(
        """
        select
            run_id, suite, expectation, title, column_name, severity, is_blocking, success, evaluated_count,
            unexpected_count, sample, docs_link
        from audit.quality.validation_result where validated_at_utc = ? and run_id = ?
        """,
        [validated_at, run_id],
    ).fetchall()
    return [ExpectationResult(*row) for row in rows]
