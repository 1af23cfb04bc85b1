"""The view for SIEMs: every event is a valid object of OCSF's published schema, and tells all that the fact does."""

from __future__ import annotations

import json
from functools import cache

import pytest
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from tests.integration.evidence_support import HARD
from tests.integration.support import begin, event, query

VERSION = "1.8.0"
ODD = [
    event("login", application="UserHub", entity="User", activity="login"),
    event("nobody", application="UserHub", entity="User", activity="logout", triggeredBy="", instance=""),
    event("operation", activity="updateTenantProperty", instance="", outcome="FAILURE"),
    event("machine", activity="SuspendThing", triggeredBy=""),
    event("hard", comments=HARD, triggeredBy='"', instance="a\x00b", entity="é😀", activity="Renewed"),
    event("offset", eventTime="2026-05-01T12:15:00.123456+02:00"),
]


@cache
def _schema() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(VERSION))


@cache
def _validator(class_uid: int) -> Draft202012Validator:
    schema = _schema()
    return Draft202012Validator(schema.get_class_schema(schema.lookup_class_name_from_uid(class_uid)))


def _faults(settings: Settings) -> list[str]:
    found = query(settings, "select class_uid, ocsf from ocsf_event")
    assert found
    return [
        f"{fault.json_path}: {fault.message}: {text}"
        for class_uid, text in found
        for fault in _validator(class_uid).iter_errors(json.loads(text))
    ]


@pytest.fixture
def odd(settings: Settings) -> Settings:
    begin(settings, *ODD)
    return settings


def test_every_event_is_valid_and_whole(odd: Settings) -> None:
    assert _faults(odd) == []
    classes = "select class_uid, count(*) from ocsf_event group by all order by all"
    assert query(odd, classes) == [(3002, 2), (3004, 2), (6003, 2)]
    with lake.reader(odd) as connection:
        by_id = "order by event_id"
        fact = lake.rows(connection, f"select *, epoch_ms(event_time_utc) as ms from fact_activity_event {by_id}")
        view = lake.rows(connection, f"select * from ocsf_event {by_id}")
    for row, shown in zip(fact, view, strict=True):
        told = json.loads(shown["ocsf"])
        assert (told["metadata"]["uid"], told["time"]) == (row["event_id"], row["ms"])
        assert told["metadata"]["original_time"] == row["event_time_source"]
        assert told["status"].upper() == row["outcome"]
        assert told.get("message") == row["comments"]
        assert told["actor"].get("user", {}).get("name") == row["triggered_by"]
        kept = ("application", "entity", "activity", "instance", "outcome", "source_uri", "source_record")
        assert [told["unmapped"].get(name) for name in kept] == [row[name] for name in kept]
        numbers = ("class_uid", "activity_id", "type_uid", "status_id")
        assert [told[name] for name in numbers] == [shown[name] for name in numbers]


@pytest.mark.slow
def test_every_kind_of_event_is_valid(varied_home: Settings, evidence_home: Settings) -> None:
    assert _faults(varied_home) == []
    assert _faults(evidence_home) == []


def test_the_schema_finds_what_is_wrong(odd: Settings) -> None:
    """The validation is one that can fail."""
    (text,) = query(odd, "select ocsf from ocsf_event where event_id = 'login'")[0]
    for wrong in ({"user": None}, {"activity_id": 50}, {"colour": "red"}, {"time": "noon"}):
        assert list(_validator(3002).iter_errors(json.loads(text) | wrong)), wrong
