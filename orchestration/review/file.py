"""Puts the page where it is wanted, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from orchestration.review.collect import Review
from orchestration.review.page import render
from orchestration.settings import Settings
from orchestration.whole_files import rewrite


def write(review: Review, settings: Settings, target: Path) -> None:
    """Write the page of a review to `target`; the folder of the data docs is made, any other must be there.

    Raises:
        OSError: if it cannot be written.
    """
    if target == settings.review_file:
        target.parent.mkdir(parents=True, exist_ok=True)
    rewrite(target, render(review, settings.docs_dir, target))
