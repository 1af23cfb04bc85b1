"""Readers under a coverage-guided fuzzer, which is given good files to begin with."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from tests.torture.figures import Figures
from tests.torture.hostile_feeds import deliveries

NAMES = ("a.ndjson", "a.json", "a.csv", "a.parquet", "a.ndjson.gz", "a.csv.zst", "manifest", "page")
_PAGE = b'{"links":{"next":"?Ref=a"},"Ref":"b","values":[{"application":"QM","eventId":1},3]}'
_MANIFEST = b'{"files":[{"name":"a.ndjson","records":1,"sha256":"x"}]}'


@pytest.mark.torture
@pytest.mark.parametrize("name", NAMES)
def test_no_reader_breaks_under_a_fuzzer(tmp_path: Path, name: str, rounds: int, seed: int) -> None:
    pytest.importorskip("atheris", reason="atheris does not install here")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, content in enumerate(_beginnings(name, random.Random(seed))):
        (corpus / str(number)).write_bytes(content)
    runs = rounds * 500
    arguments = [f"-runs={runs}", f"-seed={seed}", "-max_len=20000", "-timeout=60", "-rss_limit_mb=2000"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.coverage_fuzz", name, *arguments, str(corpus)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    Figures("coverage-guided fuzzing of the readers").add(rounds=1, inputs=runs)


def _beginnings(name: str, rng: random.Random) -> list[bytes]:
    if name in ("page", "manifest"):
        return [_PAGE if name == "page" else _MANIFEST]
    plain = name.removesuffix(".gz").removesuffix(".zst")
    ending = plain[1:].encode()
    found = [one.content for one in deliveries(rng, 150, "f") if one.name.endswith(ending)]
    if plain == name:
        return found
    return [(gzip.compress if name.endswith(".gz") else zstandard.compress)(content) for content in found]
