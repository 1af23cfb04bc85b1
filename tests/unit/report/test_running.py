"""`audit link` finds the reports that run, also while one of them begins or ends."""

from __future__ import annotations

import json
from pathlib import Path

from filelock import FileLock

from activity_audit.report.web.running import links
from activity_audit.settings.core import load_settings


def test_a_report_that_begins_at_this_moment_does_not_hide_the_others(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    folder = settings.report_dir / "running"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text("")
    (folder / "2.json").write_text(json.dumps({"base_url": "http://127.0.0.1:8080", "key": None}))
    (folder / "3.json").write_text("")
    with FileLock(folder / "1.lock"), FileLock(folder / "2.lock"):
        assert links(settings) == ["http://127.0.0.1:8080"]
    # One that was killed before it had written all is removed.
    assert sorted(path.name for path in folder.glob("*.json")) == ["1.json", "2.json"]
