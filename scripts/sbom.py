"""Writes docs/sbom.cdx.json: every package of uv.lock with its version, where it comes from, and its licence.

uv writes the list out of the lock file; licences are those that the packages say, of an environment that has all
extras. It needs no network. `make sbom` runs it; a test compares the file with the lock.
"""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "sbom.cdx.json"
# The licences that a package may have, by their SPDX names; of several that it offers one is enough.
ALLOWED = frozenset((
    "0BSD", "Apache-2.0", "Artistic-1.0-Perl", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CNRI-Python", "ISC",
    "LGPL-3.0-or-later", "MIT", "MIT-0", "MPL-2.0", "OFL-1.1", "PSF-2.0", "Zlib",
))  # fmt: skip
_YES = "yes"
# What packages say that have no SPDX expression.
_SAID = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD 3-Clause OR Apache-2.0": "BSD-3-Clause OR Apache-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
}
# Looked up by hand: packages that say nothing, say it in other words, or are for other systems and so not installed.
_BY_HAND = {
    "async-timeout": "Apache-2.0",
    "atheris": "Apache-2.0",
    "axe-playwright-python": "MIT",
    "pyreadline3": "BSD-3-Clause",
    "pywin32": "PSF-2.0",
    "text-unidecode": "Artistic-1.0-Perl OR GPL-2.0-or-later",
}


def bill() -> dict[str, Any]:
    """The bill of materials, CycloneDX 1.5: the same for the same lock file."""
    uv = [str(ROOT / ".venv/bin/uv"), "export", "--quiet", "--frozen", "--no-emit-project"]
    everything = ["--all-extras", "--all-groups", "--format", "cyclonedx1.5", "--preview-features", "sbom-export"]
    done = subprocess.run([*uv, *everything], cwd=ROOT, capture_output=True, text=True, check=True)
    found = _without_numbers(json.loads(done.stdout))
    del found["serialNumber"], found["metadata"]["timestamp"]
    known = {_key(one.metadata["Name"]): one for one in distributions()}
    before = {one["bom-ref"]: one for one in written()["components"]} if TARGET.exists() else {}
    for component in found["components"]:
        # The hashes of the files are in the lock file, from which they are checked.
        component.pop("externalReferences", None)
        said = _licence(component["name"], known.get(_key(component["name"])))
        old = before.get(component["bom-ref"], {}).get("licenses", [{}])[0].get("expression")
        if not (expression := said or old):
            raise SystemExit(f"{component['name']} is not installed, so its licence is not known; install all extras")
        component["licenses"] = [{"expression": expression}]
    return found


def _without_numbers(found: dict[str, Any]) -> dict[str, Any]:
    """With names for references that do not change when another package comes."""
    parts = [found["metadata"]["component"], *found["components"]]
    names = {part["bom-ref"]: f"{part['name']}@{part['version']}" for part in parts}
    for part in parts:
        part["bom-ref"] = names[part["bom-ref"]]
    for one in found["dependencies"]:
        one["ref"] = names[one["ref"]]
        one["dependsOn"] = sorted(names[other] for other in one.get("dependsOn", []))
    return found


def written() -> dict[str, Any]:
    """The bill as it is in the documents."""
    return json.loads(TARGET.read_text(encoding="utf-8"))


def is_allowed(expression: str) -> bool:
    """Whether one may use what has this SPDX expression."""
    while inner := re.search(r"\(([^()]*)\)", expression):
        expression = expression.replace(inner[0], _YES if is_allowed(inner[1]) else "no")
    return any({_YES, *ALLOWED}.issuperset(way.split(" AND ")) for way in expression.split(" OR "))


def _licence(name: str, package: Distribution | None) -> str | None:
    if name in _BY_HAND:
        return _BY_HAND[name]
    if package is None:
        return None
    if expression := package.metadata.get("License-Expression"):
        return expression
    said = [
        text.split(" :: ")[-1] for text in package.metadata.get_all("Classifier") or [] if text.startswith("License ::")
    ]
    named = [text for text in said if text != "OSI Approved"] or [(package.metadata.get("License") or "").strip()]
    return " OR ".join(sorted({_SAID.get(text, text.split("\n")[0]) for text in named}))


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    TARGET.write_text(json.dumps(bill(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
