"""Write the suites as files of Great Expectations into expectations/suites: `python scripts/gx_suites.py`."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from great_expectations import ExpectationSuite

from activity_audit.ledger import digests
from activity_audit.settings.core import Settings
from activity_audit.warehouse import known_ids
from expectations import conformance, feed_contract
from expectations.runner import expectations_of
from expectations.tolerances import load_tolerances

FOLDER = Path(__file__).resolve().parent.parent / "expectations" / "suites"


def expected() -> dict[str, str]:
    """The content of each file by its name, with the rules, the tolerances and the default settings as they are now."""
    tolerance: timedelta = Settings.model_fields["future_tolerance"].default
    contract = feed_contract.rules()
    conforms = conformance.rules(
        record_sha256_sql=digests.STAGED_SHA256,
        event_id_key_sql=known_ids.event_id_key(),
        future_tolerance_seconds=int(tolerance.total_seconds()),
    )
    tolerances = load_tolerances(contract)
    return {
        f"{name}.json": _written(name, expectations_of(name, rules, tolerances, plain=True))
        for name, rules in ((feed_contract.NAME, contract), (conformance.NAME, conforms))
    }


def _written(name: str, expectations: list) -> str:
    suite = ExpectationSuite(name=name, expectations=expectations)
    return json.dumps(suite.to_json_dict(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file_name, content in expected().items():
        (FOLDER / file_name).write_text(content, encoding="utf-8")
