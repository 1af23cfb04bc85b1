"""The bill of materials says what the lock file installs, is valid CycloneDX, and every licence in it is allowed."""

from __future__ import annotations

import tomllib

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scripts.sbom import ROOT, TARGET, is_allowed, written


def test_every_locked_package_is_in_the_bill() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    locked = {(one["name"], one["version"]) for one in lock["package"] if "editable" not in one["source"]}
    listed = {(one["name"], one["version"]) for one in written()["components"]}
    assert listed == locked, "uv.lock changed; `make sbom` writes docs/sbom.cdx.json again"


def test_the_bill_is_valid() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(TARGET.read_text(encoding="utf-8")) is None


def test_every_licence_is_allowed() -> None:
    licences = {one["name"]: one["licenses"][0]["expression"] for one in written()["components"]}
    assert {name: said for name, said in licences.items() if not is_allowed(said)} == {}
    # A licence that asks more of who passes the product on is a decision: these are known, and none is linked into it.
    assert {name for name, said in licences.items() if "GPL" in said} == {"psycopg2-binary", "text-unidecode"}


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("AGPL-3.0-only", False),
        ("GPL-2.0-or-later OR Artistic-1.0-Perl", True),
        ("MIT AND GPL-3.0-only", False),
        ("MPL-2.0 AND (GPL-2.0-only OR MIT)", True),
        ("MIT AND (GPL-2.0-only OR AGPL-3.0-only)", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_one_of_several_licences_is_enough(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) == allowed
