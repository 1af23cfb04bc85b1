"""What the figures come to: one sentence for each area. Pure rules over a Review."""

from __future__ import annotations

from dataclasses import replace

from activity_audit.base.vocabulary import DISPOSITIONS
from activity_audit.report.auditors.collect import Review
from activity_audit.warehouse import coverage
from activity_audit.warehouse.verdicts import Verdict, checks_level, to_look_at


def verdicts(review: Review) -> list[Verdict]:
    """The areas in the order of the page."""
    of_records = [_balanced(review), _quarantine(review), _late(review), _drift(review)]
    if not total(review, "hours"):
        nothing = "Nothing is recorded of this period."
        of_records = [replace(verdict, level="unknown", answer=nothing) for verdict in of_records]
    return [
        replace(review.fresh, section="completeness"),
        _complete(review),
        *of_records,
        _checks(review),
        _intact(review),
    ]


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 feed hour`, `2,000 feed hours`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def total(review: Review, column: str) -> int:
    """The sum of a column of the query `totals`."""
    return sum(row[column] for row in review.rows["totals"])


def _complete(review: Review) -> Verdict:
    covered, hours = coverage.total(review.covered.values()), total(review, "hours")
    if covered.level == "bad":
        parts = [f"{count(covered.missing, 'is', 'are')} missing"] if covered.missing else []
        if covered.incomplete:
            parts.append(f"{count(covered.incomplete, 'is', 'are')} not what the manifest says")
        answer = f"No. Of {count(hours, 'feed hour')}, {' and '.join(parts)}."
    elif not hours:
        answer = "Nothing is recorded of this period."
    elif covered.level == "good":
        answer = f"Yes. All {count(hours, 'feed hour')} were looked at, and delivered as their manifests say."
    else:
        answer = f"Not known. The {count(hours, 'feed hour')} with a record were delivered as their manifests say."
    if covered.unknown:
        before = f"; {covered.before:,} of them are before the first that was loaded" if covered.before else ""
        answer += (
            f" {covered.unknown:,} of {count(covered.expected, 'feed hour')} of expected feeds are not "
            f"known: no run has looked at them since they ended{before}."
        )
    return Verdict("Completeness", "Did every feed deliver every hour?", covered.level, answer, "completeness")


def _balanced(review: Review) -> Verdict:
    question, names = "Is every record accounted for?", ("received", *DISPOSITIONS)
    received, accepted, duplicate, quarantined = (total(review, name) for name in names)
    unbalanced = total(review, "unbalanced")
    sums = (
        f"{count(received, 'record')} received = {accepted:,} accepted + {duplicate:,} duplicate + "
        f"{quarantined:,} quarantined"
    )
    deleted = total(review, "deleted")
    since = f" Since then retention has deleted {count(deleted, 'feed hour')}." if deleted else ""
    fewer = total(review, "accepted_and_kept") - total(review, "events")
    other = total(review, "quarantined_and_kept") - total(review, "records")
    if unbalanced:
        answer = f"No. {count(unbalanced, 'feed hour does', 'feed hours do')} not add up; in all, {sums}."
        return Verdict("Balance", question, "bad", answer, "dispositions")
    if fewer or other:
        answer = (
            f"The sums hold ({sums}), but counted again the tables have {total(review, 'events'):,} events and "
            f"{total(review, 'records'):,} quarantined records: they are not as they were published.{since}"
        )
        return Verdict("Balance", question, "look", answer, "dispositions")
    answer = f"Yes. {sums}, in every feed hour that was loaded; and counted again, the tables have as many.{since}"
    return Verdict("Balance", question, "good", answer, "dispositions")


def _quarantine(review: Review) -> Verdict:
    received, quarantined, resolved = (total(review, name) for name in ("received", "quarantined", "resolved"))
    question = "What was kept out, and why?"
    if not quarantined:
        answer = "Nothing was kept out."
        if resolved:
            answer = f"Nothing now: replays resolved {count(resolved, 'record')} that {_was(resolved)} kept out."
        return Verdict("Quarantine", question, to_look_at(quarantined), answer, "quarantine")
    standing = [row["reason"] for row in review.rows["reasons"] if row["standing"]]
    first = standing[0] if standing else "none recorded"
    answer = (
        f"{count(quarantined, 'record')} ({share(quarantined, received)} of what was received), kept whole, "
        f"for {count(len(standing), 'reason')}, most of all {first}."
    )
    if resolved:
        answer += f" Replays resolved {count(resolved, 'more', 'more')} since."
    return Verdict("Quarantine", question, to_look_at(quarantined), answer, "quarantine")


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def share(part: int, whole: int) -> str:
    """A share in per cent, for people; one that is not nought never reads as 0%."""
    if not whole:
        return "none"
    percent = 100 * part / whole
    return "under 0.01%" if 0 < percent < 0.01 else f"{percent:.2f}%"


def _late(review: Review) -> Verdict:
    question, late = "Did events come late?", total(review, "late")
    if not late:
        return Verdict("Late arrivals", question, "good", "No event came after its feed hour.", "late")
    longest = max((row["latest"] for row in review.rows["late"]), default=None)
    worst = f"; the latest came {duration(longest.total_seconds())} late" if longest is not None else ""
    answer = f"{count(late, 'event')} of {total(review, 'accepted'):,} happened before their feed hour began{worst}."
    return Verdict("Late arrivals", question, "look", answer, "late")


def duration(seconds: float) -> str:
    """A length of time in its two largest units: `3 d 4 h`, `12 min`, `8 s`."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    left, parts = int(seconds), []
    for unit, length in units:
        number, left = divmod(left, length)
        if number:
            parts.append(f"{number:,} {unit}")
    return " ".join(parts[:2]) or "under 1 s"


def _drift(review: Review) -> Verdict:
    question, found = "Did anything appear that the catalogue does not have?", review.rows["drift"]
    if not found:
        return Verdict("Catalogue drift", question, "good", "No. Every event's names are documented.", "drift")
    rows = [row for row in found if row["acknowledged_by"] is None]
    acknowledged = count(len(found) - len(rows), "name") if len(rows) < len(found) else ""
    if not rows:
        answer = f"Only what was acknowledged: {acknowledged}."
        return Verdict("Catalogue drift", question, to_look_at(0), answer, "drift")
    kinds = [
        count(number, one, many)
        for kind, one, many in (
            ("application", "activity of unknown applications", "activities of unknown applications"),
            ("entity", "activity of unknown entities", "activities of unknown entities"),
            ("activity", "unknown activity of known entities", "unknown activities of known entities"),
        )
        if (number := sum(row["undocumented"] == kind for row in rows))
    ]
    more = f" Acknowledged besides: {acknowledged}." if acknowledged else ""
    answer = f"Yes. {', '.join(kinds)}, in {count(sum(row['events'] for row in rows), 'event')}.{more}"
    return Verdict("Catalogue drift", question, to_look_at(len(rows)), answer, "drift")


def _checks(review: Review) -> Verdict:
    question, checks = "Did every batch pass its checks before it was published?", review.rows["checks"]
    stopped = [run for run in review.rows["runs"] if not run["is_published"]]
    failed = [check for check in checks if check["failed"]]
    errors = sum(bool(check["errors"]) for check in failed)
    warnings = len(failed) - errors
    level = checks_level(len(checks), len(stopped), errors, warnings)
    if not checks:
        return Verdict("Checks", question, level, "No run of this period is recorded.", "checks")
    kinds = [f"{errors} came out as an error"] * bool(errors) + [f"{warnings} as a warning only"] * bool(warnings)
    found = (
        f"Of {len(checks)} checks, at least once {' and '.join(kinds)}."
        if failed
        else f"All {len(checks)} checks passed in every run."
    )
    if stopped:
        text = count(len(stopped), "run was stopped by its checks", "runs were stopped by their checks")
        return Verdict("Checks", question, level, f"{text}, and published nothing. {found}", "checks")
    return Verdict("Checks", question, level, f"Nothing was stopped. {found}", "checks")


def _intact(review: Review) -> Verdict:
    question, report = "Is all of it still there, and unchanged?", review.integrity
    if report is None:
        return Verdict("Integrity", question, "unknown", review.not_verified or "Not checked.", "integrity")
    errors = sum(finding.severity == "error" for finding in report.findings)
    warnings = len(report.findings) - errors
    also = f" {count(warnings, 'warning')} besides." if warnings else ""
    if errors:
        return Verdict("Integrity", question, "bad", f"No. {count(errors, 'finding')}.{also}", "integrity")
    events, files, entries = (report.counts.get(name, 0) for name in ("events", "raw files", "ledger entries"))
    answer = (
        f"Yes. The hashes of {count(events, 'event')}, {count(files, 'raw file')} and "
        f"{count(entries, 'ledger entry', 'ledger entries')} are what was recorded.{also}"
    )
    return Verdict("Integrity", question, "good", answer, "integrity")
