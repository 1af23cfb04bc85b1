"""Settings from the environment and `.env`: which goes first, and that all that is wrong is named at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from activity_audit.settings.core import SettingsError, load_settings


def test_the_environment_goes_before_the_file_in_each_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ("AUDIT_DOCS_RUNS=7", "AUDIT_REPORT_IDLE=7m", "AUDIT_REPORT_SESSION=7h", "AUDIT_LOCK_TIMEOUT=7s")
    Path(".env").write_text("\n".join(lines), encoding="utf-8")
    for name, value in (("AUDIT_DOCS_RUNS", "8"), ("AUDIT_REPORT_IDLE", "8m"), ("AUDIT_LOCK_TIMEOUT", "")):
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.docs_runs == 8
    assert settings.report.idle.total_seconds() == 8 * 60
    assert settings.report.session.total_seconds() == 7 * 3600
    # An empty value says nothing.
    assert settings.lock_timeout.total_seconds() == 7


def test_a_variable_named_like_a_group_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUDIT_REPORT", "CXONE", "AUDIT_CXONE_PAGE_SIZE", "AUDIT_APPLICATIONS_OF_OURS"):
        monkeypatch.setenv(name, "anything")
    assert load_settings().report.auth == "token"


def test_all_that_is_wrong_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"AUDIT_DOCS_RUNS": "0", "AUDIT_REPORT_EXPORT_SPACE": "0", "CXONE_PAGE_SIZE": "0"}
    for name, value in {**wrong, "AUDIT_SOURCE": "cxone"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert sorted(str(refused.value).splitlines()) == [f"{name}='0': must be at least 1" for name in sorted(wrong)]
