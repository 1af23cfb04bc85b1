"""An environment of its own for each peer, below `var/bench/envs`, from its pinned requirements."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import ROOT, Failed

HERE = Path(__file__).parent
ENVIRONMENTS = ROOT / "var" / "bench" / "envs"
PEERS = ("pandas", "dlt_dbt", "spark", "chdb")
_NEEDS = {"spark": ("java", "Java 17 (apt-get install openjdk-17-jre-headless)")}


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made where it is not there or not of these requirements.

    Raises `Failed` where something is needed that pip cannot install, or an installation failed.
    """
    if peer in _NEEDS and not shutil.which(_NEEDS[peer][0]):
        raise Failed(f"{peer} needs {_NEEDS[peer][1]}")
    requirements = HERE / peer / "requirements.txt"
    folder = ENVIRONMENTS / peer
    stamp = folder / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    python = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        uv = Path(sys.executable).with_name("uv")
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        for command in (
            [uv, "venv", "--quiet", "--clear", "--python", version, folder],
            [uv, "pip", "sync", "--quiet", "--python", python, requirements],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise Failed(f"the environment of {peer} cannot be made: {done.stderr.strip()}")
        stamp.write_text(wanted)
    return python


def version_of(peer: str) -> str:
    """The version of the tool that a peer is named for, as its requirements pin it."""
    tools = {
        "pandas": ["pandas"],
        "dlt_dbt": ["dlt", "dbt-core", "duckdb"],
        "spark": ["pyspark"],
        "chdb": ["chdb-core"],
    }
    pinned = dict(
        line.split("==") for line in (HERE / peer / "requirements.txt").read_text().splitlines() if "==" in line
    )
    return ", ".join(f"{tool} {pinned[tool]}" for tool in tools[peer])
