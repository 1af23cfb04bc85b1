"""Metrics and health: valid for Prometheus, true, bounded, and without a word of a person."""

from __future__ import annotations

import errno
import json
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from activity_audit.metrics import exposition
from activity_audit.metrics.exposition import Watched, text
from activity_audit.pipeline import notes
from activity_audit.report.dagster_door.old_address import leads_to
from activity_audit.settings.core import Settings, SettingsError, load_settings
from tests.integration.support import one, said

GRAFANA = Path(__file__).parents[2] / "docs" / "grafana"
RULES = GRAFANA / "rules.yaml"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(content: bytes) -> Samples:
    """The samples by name and labels, as Prometheus' own parser reads them."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
    }


def figure(found: Samples, name: str, **labels: str) -> float:
    return found[f"audit_{name}", tuple(sorted(labels.items()))]


@pytest.fixture
def watched(settings: Settings, report_home: Settings) -> Settings:
    """A home with a hundred events and a record in quarantine of one feed; others are missing."""
    shutil.copytree(report_home.home, settings.home)
    return settings


def test_the_metrics_are_what_is_published(watched: Settings) -> None:
    found = samples(text(watched))
    assert figure(found, "warehouse_readable") == 1
    assert figure(found, "events") == one(watched, "select count(*) from fact_activity_event") == 100
    for disposition, number in (("accepted", 100), ("duplicate", 0), ("quarantined", 1)):
        assert figure(found, "records", feed="search", disposition=disposition) == number
    assert figure(found, "quarantined_records", reason="unparseable") == 1
    assert figure(found, "quarantined_records", reason="event_id_conflict") == 0
    assert figure(found, "data_through_timestamp_seconds") == 1777633200
    assert figure(found, "data_lag_seconds") > 86400
    assert figure(found, "feed_hours_lacking", feed="qm", status="missing") == 1
    assert figure(found, "feed_hours_lacking", feed="search", status="missing") == 0
    assert figure(found, "area_level", area="Freshness") == 3
    assert figure(found, "last_run_outcome", outcome="published") == 1
    stages = {dict(labels)["stage"] for name, labels in found if name == "audit_last_run_stage_seconds"}
    assert stages == {"landing", "staging", "checking", "publishing"}
    failed = [
        dict(labels)["check"] for (name, labels), value in found.items() if name == "audit_check_failed" and value
    ]
    assert failed
    # Their number depends on the catalogue and the rules, and not on what was delivered.
    assert len(found) < 250
    assert "clarissa" not in text(watched).decode()


def test_runs_and_looks_write_the_file_whole(watched: Settings, tmp_path: Path) -> None:
    file = tmp_path / "audit.prom"
    said(watched, "status", exit_code=1, AUDIT_METRICS_FILE=str(file))
    assert figure(samples(file.read_bytes()), "events") == 100
    assert ("audit_verify_findings", ()) not in samples(file.read_bytes())
    said(watched, "verify", AUDIT_METRICS_FILE=str(file))
    assert figure(samples(file.read_bytes()), "verify_findings") == 0
    assert sorted(path.name for path in tmp_path.glob("*prom*")) == ["audit.prom"]
    gone = said(watched, "status", exit_code=1, AUDIT_METRICS_FILE=str(tmp_path / "no" / "audit.prom"))
    assert "could not be written: No such file" in gone.stderr


def test_node_exporter_reads_only_its_own_files(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_METRICS_FILE", "metrics.txt")
    with pytest.raises(SettingsError, match=r"AUDIT_METRICS_FILE=.*: must end with \.prom"):
        load_settings()


def test_metrics_where_nothing_is_published_or_the_warehouse_is_gone(watched: Settings, tmp_path: Path) -> None:
    empty = load_settings(home=tmp_path / "empty")
    found = samples(text(empty))
    assert figure(found, "warehouse_readable") == 1
    assert ("audit_events", ()) not in found
    assert Watched(empty).answer("/health/ready")[0] == 200  # type: ignore[index]
    shutil.rmtree(watched.home / "warehouse")
    assert figure(samples(text(watched)), "warehouse_readable") == 0
    status, _, content = Watched(watched).answer("/health/ready")  # type: ignore[misc]
    assert (status, json.loads(content)["status"]) == (503, "not ready")


def test_who_asks_again_gets_the_same_look(watched: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = []
    monkeypatch.setattr(exposition, "text", lambda settings: looks.append(settings) or b"")
    asked = Watched(watched)
    for _ in range(5):
        asked.answer("/metrics")
    assert len(looks) == 1
    assert asked.answer("/") is None
    assert asked.answer("/metrics?x") is None


def test_the_port_of_monitoring(watched: Settings) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    is_up = True
    with leads_to(listening, "http://report", Watched(watched, lambda: is_up).answer):
        with urlopen(f"{base}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            assert figure(samples(answer.read()), "events") == 100
        with urlopen(f"{base}/health/live") as answer:
            assert json.load(answer) == {"status": "alive"}
        is_up = False
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{base}/health/ready")
        assert refused.value.code == 503
        assert json.load(refused.value)["checks"] == {"warehouse": True, "pages": False}


def test_what_a_run_leaves_when_it_ends_otherwise(settings: Settings) -> None:
    settings.home.mkdir()

    def run(error: type[BaseException]) -> None:
        with notes.timed_run(settings, "r", lambda _: None) as timed:
            timed.stage("staging")
            raise error

    for error, outcome in ((ValueError, "failed"), (KeyboardInterrupt, "stopped")):
        with pytest.raises(error):
            run(error)
        assert notes.read(settings)["run"]["outcome"] == outcome
    # One that fails before its first stage says why.
    with pytest.raises(OSError, match="read-only"), notes.timed_run(settings, "r", lambda _: None):
        raise OSError(errno.EROFS, "read-only")
    with notes.timed_run(settings, "another", lambda _: None):
        pass
    assert notes.read(settings)["run"]["run_id"] == "r"
    (settings.home / "last.json").write_text("[")
    assert notes.read(settings) == {}


def _named(expression: str) -> set[str]:
    return set(re.findall(r"\baudit_\w+", expression))


def test_dashboard_and_rules_name_what_there_is(watched: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    notes.note(watched, "verify", {"whole": True, "findings": 0})
    notes.note(watched, "backup", {"id": "a"})
    monkeypatch.setenv("AUDIT_ALERT_TO", "json://127.0.0.1:1")
    exposed = samples(text(load_settings()))
    labels: dict[str, set[str]] = {}
    for name, found in exposed:
        labels.setdefault(name, set()).update(label for label, _ in found)
    dashboard = json.loads((GRAFANA / "dashboard.json").read_text())
    panels = [target for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert len(panels) > 12
    assert len(rules) > 10
    expressions = [(target["expr"], target["legendFormat"]) for target in panels]
    expressions += [(rule["expr"], json.dumps(rule["annotations"])) for rule in rules]
    for expression, shown in expressions:
        named = _named(expression)
        assert named, expression
        assert named <= set(labels), expression
        used = re.findall(r"by \(([^)]*)\)", expression) + re.findall(r"{(\w+)=", expression)
        used += re.findall(r"(?:{{|\$labels\.)(\w+)", shown)
        known = set().union(*(labels[name] for name in named))
        assert {label for part in used for label in part.split(", ")} <= known, expression
    for rule in rules:
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]
    document = (GRAFANA.parent / "operations.md").read_text()
    documented = set(re.findall(r"^\| `(audit_\w+)", document, re.MULTILINE))
    assert documented == set(labels)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, of Debian's package prometheus, is not there")
def test_promtool_takes_the_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
