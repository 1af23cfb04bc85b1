"""Settings from the environment and `.env`: which goes first, and that all that is wrong is named at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from activity_audit.settings.core import SECRETS, VARIABLES, SettingsError, load_settings
from activity_audit.settings.environment import misspelt
from activity_audit.settings.private_files import open_doors

DOCS = Path(__file__).parents[3] / "docs"


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


def test_secrets_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(SECRETS) == {
        "AUDIT_REPORT_OIDC_CLIENT_SECRET", "CXONE_ACCESS_KEY_ID", "CXONE_ACCESS_KEY_SECRET", "CXONE_OAUTH_CLIENT_ID",
        "CXONE_OAUTH_CLIENT_SECRET", "AUDIT_ALERT_TO", "AUDIT_DELIVERY_SMTP",
    }  # fmt: skip
    operations = (DOCS / "operations.md").read_text(encoding="utf-8")
    listed = operations.split("### Secrets from files")[1].split("###")[0]
    assert [name for name in SECRETS if f"`{name}`" not in listed] == []
    file = tmp_path / "secret"
    file.write_text(" s3cr et\n")
    file.chmod(0o644)
    monkeypatch.setenv("AUDIT_REPORT_OIDC_CLIENT_SECRET_FILE", str(file))
    found = load_settings()
    assert found.report.oidc_client_secret is not None
    assert found.report.oidc_client_secret.get_secret_value() == "s3cr et"
    assert "s3cr" not in repr(found)
    assert misspelt(VARIABLES, SECRETS) == {}
    assert any(str(file) in door for door in open_doors(found))
    file.chmod(0o600)
    assert not any(str(file) in door for door in open_doors(found))


@pytest.mark.parametrize(
    ("content", "given", "wrong"),
    [
        (None, "", "cannot be read: No such file"),
        (b"\xff", "", "it is not UTF-8"),
        (b" \n", "", "is empty"),
        (b"s3cret", "s3cret", "are both set: set one of them"),
    ],
)
def test_a_file_that_has_no_secret_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, given: str, wrong: str
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("AUDIT_REPORT_OIDC_CLIENT_SECRET_FILE", str(file))
    monkeypatch.setenv("AUDIT_REPORT_OIDC_CLIENT_SECRET", given)
    with pytest.raises(SettingsError, match=wrong) as raised:
        load_settings()
    assert "AUDIT_REPORT_OIDC_CLIENT_SECRET_FILE" in str(raised.value)
    assert "s3cret" not in str(raised.value)
