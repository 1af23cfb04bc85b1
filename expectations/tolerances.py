"""How much of each defect is tolerated, and the level of a failure; `tolerances.toml` has the numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

from expectations.results import Severity
from expectations.rules import Rule

TOLERANCES_FILE = Path(__file__).with_name("tolerances.toml")


class TolerancesError(ValueError):
    """The tolerances file is wrong; the message names the key and the file."""


def load_tolerances(rules: Iterable[Rule], path: Path = TOLERANCES_FILE) -> dict[str, Decimal]:
    """The tolerated share of each rule that has one, by rule id.

    Raises:
        TolerancesError: a rule's key is missing, is no number from 0.0 to 1.0, or belongs to no rule.
    """
    expected = [rule.id for rule in rules if not rule.always_error]
    try:
        # Decimal, so that a share that is exactly the tolerance is never above it by a rounding.
        found = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as error:
        raise TolerancesError(f"{path}: cannot be read: {error}") from error
    for key in found:
        if key not in expected:
            raise TolerancesError(f"{path}: {key}: no tolerance of that name; known are {', '.join(expected)}")
    for key in expected:
        if key not in found:
            raise TolerancesError(f"{path}: {key}: missing; must be a share from 0.0 to 1.0")
        value = found[key]
        if not _is_share(value):
            raise TolerancesError(f"{path}: {key} = {value}: must be a share from 0.0 to 1.0")
    return {key: Decimal(found[key]) for key in expected}


def severity(rule: Rule, tolerances: Mapping[str, Decimal], evaluated: int, unexpected: int) -> Severity:
    """The level at which the outcome counts.

    A rule without a tolerance counts as an error. A failure at or below the tolerance is a warning. A pass
    counts as a warning only where nothing more can become of it (a tolerance of 1).
    """
    tolerance = tolerances.get(rule.id)
    if tolerance is None:
        return "error"
    if tolerance == 1:
        return "warning"
    if unexpected == 0:
        return "error"
    return "warning" if unexpected <= tolerance * evaluated else "error"


def policy(rule: Rule, tolerances: Mapping[str, Decimal], *, blocking: bool) -> str:
    """What a failure of the rule means, in a sentence for the data docs."""
    tolerance = tolerances.get(rule.id)
    if blocking:
        return "any failure is an error and keeps the batch from being published."
    if not tolerance:
        return "any failure is an error."
    if tolerance == 1:
        return "a failure is a warning."
    return f"a failure is a warning up to {float(100 * tolerance):g}% of what is judged, and an error above."


def _is_share(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    return Decimal(value).is_finite() and 0 <= value <= 1
