"""Every claim of docs/security.md names tests that hold it, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_tests_that_hold_the_claims_are_there() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 40
    missing = [
        f"{file}::{test}" for file, test in named
        if not (ROOT / file).exists() or f"def {test}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]  # fmt: skip
    assert missing == []


def test_each_door_and_each_defence_names_one() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    doors = [
        row for row in text.split("## The doors")[1].split("## What is defended")[0].splitlines() if row[:2] == "| "
    ]
    assert [row for row in doors[2:] if "::test_" not in row] == []
    defended = text.split("## What is defended, and how")[1].split("## What is not defended")[0]
    claims = [part for part in defended.split("\n\n") if part.startswith("**")]
    assert len(claims) >= 9
    assert [claim.split("**")[1] for claim in claims if "::test_" not in claim] == []
