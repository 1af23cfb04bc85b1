"""Decides whether the warehouse is in order: one set of rules for every page, file and command.

`state` asks the lake for its figures, once; `judged` says what they come to. `audit status`, the report's trust line,
its quality pages, the data docs and the auditor's page draw from these. A page about a period judges the figures of
that period, by the same rules: `Coverage.level`, `checks_level` and `to_look_at`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from activity_audit.base.catalogue import OWN_FEED
from activity_audit.base.hours import HOUR, aware, iso
from activity_audit.warehouse import coverage
from activity_audit.warehouse.coverage import Coverage, Rows, due

if TYPE_CHECKING:
    from activity_audit.settings.core import Settings

Level = Literal["good", "look", "unknown", "bad"]
# From the best to the worst, as people read them, each with the sign that stands for it.
WORDS: dict[Level, str] = {"good": "in order", "look": "to look at", "unknown": "not known", "bad": "not in order"}
SIGNS: dict[Level, str] = {"good": "✓", "look": "!", "unknown": "?", "bad": "✗"}
# Where no period is asked about, completeness is judged of the days that a user still acts on.
RECENT = timedelta(days=7)
# The query of the newest run over feed hours; a replay evaluates nothing of what the sources sent.
# In the order in which rows were published, which a clock that was set back does not change.
NEWEST_CHECKED = """
    select run_id from audit.quality.validation_result where suite = 'feed_contract'
    group by run_id order by max(rowid) desc limit 1
"""


@dataclass(frozen=True)
class Verdict:
    """An area's question, how it is answered, and the section of the auditor's page that has the figures.

    `breaks_promise` is whether a promise of freshness or completeness does not hold: then `audit status` ends with 1.
    """

    area: str
    question: str
    level: Level
    answer: str
    section: str = ""
    breaks_promise: bool = False


@dataclass(frozen=True)
class State:
    """The figures of a snapshot, whatever the time is. Times are plain UTC, None where there is none.

    Attributes:
        data_through: the end of the newest feed hour that brought anything.
        oldest, newest: the first and the last feed hour that is known.
        refreshed_at: when the newest run that published began.
        run_id: that run.
        checked_run_id: the newest run over feed hours whose checks are known.
        checked_at: when it was checked.
        checks_passed: its checks that found nothing.
        checks_failed: those that found something and stopped it.
        errors: those that found more than is tolerated, and did not stop it.
        warnings: those that found something that is tolerated.
        quarantined: records in quarantine that are not resolved.
        drift: combinations that the catalogue does not have and nobody acknowledged.
        acknowledged: those that somebody acknowledged.
    """

    data_through: datetime | None
    oldest: datetime | None
    newest: datetime | None
    refreshed_at: datetime | None
    run_id: str | None
    checked_run_id: str | None
    checked_at: datetime | None
    checks_passed: int
    checks_failed: int
    errors: int
    warnings: int
    quarantined: int
    drift: int
    acknowledged: int

    @property
    def blocked(self) -> bool:
        """Whether the newest run over feed hours published nothing, because of its checks."""
        return self.checks_failed > 0

    @property
    def recent(self) -> tuple[datetime, datetime] | None:
        """The newest days, aware, the end not included: of what is before the first feed hour nothing is said."""
        if not self.oldest or not self.newest:
            return None
        end = aware(self.newest) + HOUR
        return max(aware(self.oldest), end - RECENT), end


@dataclass(frozen=True)
class Condition(State):
    """The figures, and what they come to at some time.

    Attributes:
        coverage: of the period and applications that are asked about, or of the newest days; None where no feed hour is
            known.
        of_period: whether it is of a period that is asked about.
        verdicts: one for each area.
    """

    coverage: Coverage | None
    of_period: bool
    verdicts: tuple[Verdict, ...]

    @property
    def level(self) -> Level:
        """The worst of all areas."""
        return worst(verdict.level for verdict in self.verdicts)

    @property
    def stale(self) -> bool:
        """Whether the data are older than is promised."""
        return self.verdicts[0].level == "bad"

    @property
    def since(self) -> datetime | None:
        """The first feed hour that is known, plain UTC, if the newest days begin with it."""
        short = self.recent and self.recent[1] - self.recent[0] < RECENT
        return self.oldest if short and not self.of_period else None


def worst(levels: Iterable[Level]) -> Level:
    """The worst of these, `good` where there is none."""
    return max(levels, key=list(WORDS).index, default="good")


def to_look_at(number: int) -> Level:
    """The level of something to know by which nothing is lost, such as records in quarantine."""
    return "look" if number else "good"


def checks_level(checked: int, stopped: int, errors: int, warnings: int) -> Level:
    """The level of so many checks, by how many runs or checks stopped something, and which found something."""
    if stopped or errors:
        return "bad"
    return to_look_at(warnings) if checked else "unknown"


def state(rows: Rows) -> State:
    """The figures of the warehouse that is attached as `audit`, by what answers a query on its connection."""
    found = rows(
        f"""
        with hour as (
            -- That somebody reads the report does not make its data fresh.
            select
                max(feed_hour_utc) filter (status <> 'missing' and feed <> '{OWN_FEED}') + interval 1 hour as through,
                min(feed_hour_utc) as oldest, max(feed_hour_utc) as newest
            from audit.quality.feed_reconciliation
        ),
        run as (
            select max_by(started_at_utc, rowid) as began, max_by(run_id, rowid) as run_id
            from audit.quality.pipeline_run
        ),
        checked as (
            select
                any_value(run_id) as checked_run_id, max(validated_at_utc) as checked_at,
                count(*) filter (success) as passed, count(*) filter (not success and is_blocking) as stopped,
                count(*) filter (not success and not is_blocking and severity = 'error') as errors,
                count(*) filter (not success and not is_blocking and severity <> 'error') as warnings
            from audit.quality.validation_result where run_id = ({NEWEST_CHECKED})
        ),
        found as (
            -- As JSON, because an earlier release may have published the view last, without this column.
            select count(*) as drift, count(to_json(drift) ->> 'acknowledged_by') as acknowledged
            from audit.quality.catalogue_drift as drift
        )
        select
            through, oldest, newest, began, run.run_id, checked_run_id, checked_at, passed, stopped, errors, warnings,
            (select count(*) from audit.quality.quarantined_event where resolved_at_utc is null),
            drift - acknowledged, acknowledged
        from hour, run, checked, found
        """,
        [],
    )
    return State(*found[0])


def fresh(data_through: datetime | None, now: datetime, freshness: timedelta) -> Verdict:
    """Whether the newest feed hour that is due `now` (aware) is there: by it, or by any after it."""
    question = "Is the newest data as new as promised?"
    if data_through is None:
        return Verdict("Freshness", question, "bad", "no feed hour is published yet", breaks_promise=True)
    last = iso(aware(data_through) - HOUR)
    if aware(data_through) >= due(now, freshness):
        return Verdict("Freshness", question, "good", f"the newest published feed hour is {last}")
    answer = f"the newest published feed hour is {last}, which is older than AUDIT_FRESHNESS allows ({freshness})"
    return Verdict("Freshness", question, "bad", answer, breaks_promise=True)


def judged(
    known: State, covered: Coverage | None, now: datetime, freshness: timedelta, *, of_period: bool = False
) -> Condition:
    """What the figures and the coverage come to `now` (aware); `freshness` is AUDIT_FRESHNESS."""
    verdicts = (
        fresh(known.data_through, now, freshness),
        _complete(covered, "of this period" if of_period else f"of the newest {RECENT.days} days"),
        _checked(known),
        Verdict(
            "Quarantine",
            "Was anything kept out?",
            to_look_at(known.quarantined),
            f"{known.quarantined:,} records are in quarantine",
        ),
        Verdict(
            "Catalogue drift",
            "Did anything appear that the catalogue does not have?",
            to_look_at(known.drift),
            f"{known.drift:,} names are not in the catalogue, and {known.acknowledged:,} that were acknowledged",
        ),
    )
    return Condition(**vars(known), coverage=covered, of_period=of_period, verdicts=verdicts)


def now_judged(rows: Rows, settings: Settings, now: datetime) -> Condition:
    """The condition of the warehouse `now` (aware), its completeness that of the newest days."""
    known = state(rows)
    scope = coverage.scope(settings.expected_feeds, (), now, settings.freshness)
    covered = coverage.coverage(rows, *known.recent, scope) if known.recent else None
    return judged(known, covered, now, settings.freshness)


def _complete(covered: Coverage | None, whose: str) -> Verdict:
    question = "Did every feed deliver every hour?"
    if covered is None:
        return Verdict("Completeness", question, "unknown", "no feed hour is known yet")
    is_broken = covered.level == "bad"
    return Verdict("Completeness", question, covered.level, f"{whose}: {covered.says}", breaks_promise=is_broken)


def _checked(known: State) -> Verdict:
    checked = known.checks_passed + known.checks_failed + known.errors + known.warnings
    level = checks_level(checked, known.checks_failed, known.errors, known.warnings)
    verdict = Verdict("Checks", "Did the last run pass its checks?", level, "no run has checked anything yet")
    if known.blocked:
        answer = f"the last run published nothing: {known.checks_failed} blocking checks failed"
        return replace(verdict, answer=answer, breaks_promise=True)
    if not checked:
        return verdict
    counts = f"{known.checks_passed} passed, {known.errors} errors, {known.warnings} warnings"
    return replace(verdict, answer=f"of the last run {counts}")
