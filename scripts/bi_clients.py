"""Install each client of docs/bi-tools.md in a new environment, and run its listings: `make bi-clients`.

The home is AUDIT_HOME, where something must be published. All else, DuckDB's extensions too, is new and removed again.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/bi-tools.md"
_EXTENSIONS = ("ducklake", "sqlite_scanner")
_VERSION = "1.5.5"
_CLIENTS = {
    "DuckDB's command line": "sql",
    "Python and pandas": "python",
    "SQLAlchemy": "python",
    "ADBC": "python",
    "ibis": "python",
    "polars": "python",
    "Node.js": "javascript",
}


def main() -> int:
    home = Path(os.environ.get("AUDIT_HOME", "var")).absolute()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        # What the listings run in; the packages come by the user's own settings of pip and npm.
        environment = {"HOME": folder, "PATH": os.environ["PATH"]}
        _install_extensions(root, environment)
        failed = [title for title, language in _CLIENTS.items() if not _try(title, language, home, root, environment)]
    return 1 if failed else 0


def _install_extensions(root: Path, environment: dict[str, str]) -> None:
    packages = [f"duckdb-extension-{name.replace('_', '-')}=={_VERSION}" for name in _EXTENSIONS]
    python = _new_environment(root / "extensions", [f"duckdb=={_VERSION}", f"duckdb-extensions=={_VERSION}", *packages])
    code = "; ".join(f"e.import_extension('{name}')" for name in _EXTENSIONS)
    _run([python, "-c", f"import duckdb_extensions as e; {code}"], environment)


def _try(title: str, language: str, home: Path, root: Path, environment: dict[str, str]) -> bool:
    section = _section(title).replace("/path/to/var", str(home))
    found = re.search(r"`(pip|npm) install ([^`]*)`", section)
    assert found, title
    packages = shlex.split(found[2])
    folder = root / title.replace(" ", "-").lower()
    print(f"== {title}: {found[1]} install {found[2]}", flush=True)
    if found[1] == "npm":
        folder.mkdir()
        _run(["npm", "install", "--silent", "--prefix", str(folder), *packages], dict(os.environ))
        command = ["node", "listing.mjs"]
        (folder / "listing.mjs").write_text(_code(section, language))
    else:
        python = _new_environment(folder, packages)
        command = [python, "listing.py"]
        code = _code(section, language)
        (folder / "listing.py").write_text(f"{code}\nprint({_LAST[title]})" if title in _LAST else code)
    if language == "sql":
        (folder / "attach.sql").write_text(_code(_section("BI tools").replace("/path/to/var", str(home)), "sql", 1))
        query = "select status, count(*) from quality.feed_reconciliation group by all"
        command = [str(folder / "bin/duckdb"), "-init", "attach.sql", "-c", query]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr, flush=True)
    return done.returncode == 0


# What a listing that prints nothing leaves to be shown.
_LAST = {"Python and pandas": "frame.tail(3)", "SQLAlchemy": "frame, tables, events"}


def _section(title: str) -> str:
    parts = re.split(r"^#+ (.*)$", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return parts[parts.index(title) + 1]


def _code(section: str, language: str, most: int | None = None) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[:most])


def _new_environment(folder: Path, packages: list[str]) -> str:
    _run([sys.executable, "-m", "venv", str(folder)], dict(os.environ))
    python = str(folder / "bin/python")
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], dict(os.environ))
    return python


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} failed:\n{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
