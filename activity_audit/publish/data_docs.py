"""Brings the data docs up to what the warehouse holds: the runs that it has and that they lack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

import duckdb

from activity_audit.base.hours import aware, naive, now_utc, unit_begin
from activity_audit.ledger import digests
from activity_audit.settings.core import Settings
from activity_audit.warehouse import coverage, known_ids, verdicts

if TYPE_CHECKING:
    from expectations.docs_index import Order, RunSummary
    from expectations.docs_site import DocsSite
    from expectations.results import ExpectationResult
    from expectations.rules import Rule

# To draw a run's page takes some tenths of a second, and a home may be new to a warehouse of many runs.
MOST_AT_ONCE = 20
_NEVER = datetime.min.replace(tzinfo=UTC)


def rules(settings: Settings) -> dict[str, list[Rule]]:
    """The rules of each suite, by its name, as these settings have them."""
    from expectations import conformance, feed_contract

    return {
        feed_contract.NAME: feed_contract.rules(),
        conformance.NAME: conformance.rules(
            record_sha256_sql=digests.STAGED_SHA256,
            event_id_key_sql=known_ids.event_id_key(),
            future_tolerance_seconds=int(settings.future_tolerance.total_seconds()),
        ),
    }


def complete(
    connection: duckdb.DuckDBPyConnection, settings: Settings, warn: Callable[[str], None], run_id: str | None = None
) -> None:
    """Write the newest runs that the docs lack, and the front page.

    The caller holds the run lock. A run is shown as published only if it is in `quality.pipeline_run`. Docs that cannot
    be written change nothing else: `warn` is called with what is wrong, and what to do.

    Args:
        connection: one that has the warehouse attached as `audit`.
        settings: of the home whose docs they are.
        warn: called at most once, with a sentence or two.
        run_id: a run that is written whatever its time is, as after a clock was set back.
    """
    from expectations.docs_site import DocsSite
    from expectations.runner import TITLES

    try:
        site = DocsSite(settings.docs_dir, TITLES, _order(connection, settings))
        put_up(connection, site, lambda: rules(settings), settings.docs_runs, run_id)
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


def put_up(
    connection: duckdb.DuckDBPyConnection,
    site: DocsSite,
    rules: Callable[[], Mapping[str, Sequence[Rule]]],
    keep_runs: int,
    run_id: str | None,
) -> None:
    """The same on a site, which keeps the pages of the newest `keep_runs` runs, at least 1, and of `run_id`.

    Raises:
        OSError: if the site cannot be written.
        ValueError: if `keep_runs` is below 1.
        duckdb.Error: if the warehouse cannot be read.
    """
    if keep_runs < 1:
        raise ValueError(f"keep_runs is {keep_runs}; it must be at least 1")
    known = site.known()
    # The newest that the docs have is where they were complete.
    complete_to = max(known.values(), default=_NEVER)
    runs = _summaries(connection, unit_begin(min(known.values(), default=_NEVER), "month"), run_id)
    lacking = [run for run in runs if run.run_id not in known and (run.run_time >= complete_to or run.run_id == run_id)]
    missing = lacking[:MOST_AT_ONCE]
    times = known | {run.run_id: run.run_time for run in missing}
    newest = sorted(times, key=lambda one: (times[one], one), reverse=True)
    names = {one for place, one in enumerate(newest) if place < keep_runs or one == run_id}
    kept = [run for run in runs if run.run_id in names]
    if missing:
        from expectations import docs

        docs.write(site, {run: _results(connection, run) for run in missing if run in kept}, rules())
    # An earlier release put up runs that published nothing and are not in the warehouse.
    dropped = {one: times[one] for one in times.keys() - {run.run_id for run in kept}}
    months = {f"{at:%Y-%m}" for at in [*dropped.values(), *(run.run_time for run in missing)]}
    site.put_up(kept, dropped, {month: [run for run in runs if run.month == month] for month in months})


def _summaries(connection: duckdb.DuckDBPyConnection, since: datetime, run_id: str | None) -> list[RunSummary]:
    """The runs since a time (aware), or since the month of `run_id` began, the newest first."""
    from expectations.docs_index import Found, RunSummary, SuiteSummary
    from expectations.runner import SUITES

    rows = connection.execute(
        """
        with result as (from audit.quality.validation_result)
        select
            run_id, validated_at_utc, run_id in (select run_id from audit.quality.pipeline_run), suite,
            count(*) filter (success),
            list(
                {'title': title, 'level': severity, 'unexpected': unexpected_count, 'evaluated': evaluated_count}
                order by severity, expectation
            ) filter (not success)
        from result
        where validated_at_utc >= least(
            ?, (select date_trunc('month', max(validated_at_utc)) from result where run_id = ?)
        )
        group by run_id, validated_at_utc, suite
        qualify validated_at_utc = max(validated_at_utc) over (partition by run_id)
        order by validated_at_utc desc, run_id desc, suite
        """,
        [naive(since), run_id],
    ).fetchall()
    runs = []
    for (one, started, published), of_run in groupby(rows, key=lambda row: row[:3]):
        suites = {
            suite: SuiteSummary(suite, passed, tuple(Found(**found) for found in failed or ()))
            for *_, suite, passed, failed in of_run
        }
        shown = tuple(suites[suite] for suite in SUITES if suite in suites)
        runs.append(RunSummary(one, aware(started), shown, published))
    return runs


def _results(connection: duckdb.DuckDBPyConnection, run: RunSummary) -> list[ExpectationResult]:
    from expectations.results import ExpectationResult

    rows = connection.execute(
        """
        select
            run_id, suite, expectation, title, column_name, severity, is_blocking, success, evaluated_count,
            unexpected_count, sample, docs_link
        from audit.quality.validation_result where validated_at_utc = ? and run_id = ?
        """,
        [naive(run.run_time), run.run_id],
    ).fetchall()
    return [ExpectationResult(*row) for row in rows]


def _order(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Order:
    from expectations.docs_index import Order

    now = now_utc()
    found = verdicts.now_judged(coverage.rows_of(connection), settings, now)
    return Order(now, [(one.area, one.level, verdicts.WORDS[one.level], one.answer) for one in found.verdicts])
