"""The results of the benchmarks: one JSON file for each part and size, and what is written from them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS, ROOT, Figure, figure_table, machine_text, markdown, versions_text
from benchmarks.parts import PARTS, Part
from benchmarks.plot import Bar, picture
from benchmarks.targets import TARGETS, Target

OURS = "activity-audit"
_MARKERS = ("<!-- bench: written by make bench-full -->", "<!-- bench: end -->")


@dataclass
class Result:
    """What became of a part: its figures, or why there are none; when (UTC), on what, of which versions, how long."""

    part: str
    size: str
    at: str
    seconds: float
    arguments: list[str]
    machine: dict[str, Any]
    versions: dict[str, str]
    figures: list[Figure] = field(default_factory=list)
    failed: str = ""

    def by_name(self) -> dict[str, float]:
        """The figures' values."""
        return {figure.name: figure.value for figure in self.figures}


def save(result: Result, folder: Path = RESULTS) -> None:
    """Write a part's result in place of an earlier one."""
    path = folder / result.size / f"{result.part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")


def load(size: str, folder: Path = RESULTS) -> dict[str, Result]:
    """All parts' newest results of a size."""
    found = {}
    for part in PARTS:
        path = folder / size / f"{part.name}.json"
        if path.exists():
            read = json.loads(path.read_text(encoding="utf-8"))
            read["figures"] = [Figure(**figure) for figure in read["figures"]]
            found[part.name] = Result(**read)
    return found


def write_report(size: str, folder: Path = RESULTS) -> None:
    """Write the table and the picture of a size from its parts' results."""
    results = load(size, folder)
    (folder / f"{size}.md").write_text(report(size, results), encoding="utf-8")
    (folder / f"{size}.svg").write_text(svg(results), encoding="utf-8")


def report(size: str, results: dict[str, Result]) -> str:
    """The whole document: targets, peers, every figure, machines and versions."""
    parts = [f"# Results, {size}\n", f"Written by `make {'bench' if size == 'small' else 'bench-full'}`.\n"]
    if size == "small":
        parts.append("The sizes are small, so the limits, which are for full ones, are shown without a verdict.\n")
    parts.append(targets_table(size, results))
    if "peers" in results:
        parts += ["## Peers\n", peers_table(results["peers"])]
    for part in PARTS:
        if part.name in results:
            parts.append(_part(part, results[part.name]))
    return "\n".join(parts)


def targets_table(size: str, results: dict[str, Result], targets: Sequence[Target] = TARGETS) -> str:
    """Each target with its goal, the figure, and whether it was met."""
    rows = []
    for target in targets:
        limit, goal = target.limits()
        figure, met = "", "not measured"
        result = results.get(target.part)
        if result is not None and result.failed:
            met = f"failed: {result.failed.splitlines()[0]}"
        elif result is not None:
            try:
                value = target.figure(result.by_name())
            except KeyError as missing:
                met = f"no figure {missing}"
            else:
                figure, met = f"{value:.3g} {target.unit}", target.met(value) if size == "full" else ""
                if value >= 1000:
                    figure = f"{value:.0f} {target.unit}"
        texts = (f"{limit} {target.unit}".strip(), f"{goal} {target.unit}".strip() if goal else "", figure.strip())
        rows.append((target.what, *texts, met))
    return markdown(("", "target", "goal", "figure", "met"), rows)


def peers_table(result: Result) -> str:
    """The product and its peers, fastest first."""
    if result.failed:
        return f"Failed: {result.failed.splitlines()[0]}\n"
    figures = result.by_name()
    rows = []
    for case, name in _runs(figures):
        wall = figures.get(f"{case}, {name} wall")
        if wall is None:
            rows.append((case, 1e9, name, "", "", "", "", "failed"))
            continue
        records = figures[f"{case}, {name} records"]
        same = "" if name == OURS else ("equal" if figures[f"{case}, {name} equal"] else "differs")
        rows.append(
            (
                case,
                wall,
                name,
                f"{records:,.0f}",
                f"{wall:.1f}",
                f"{figures[f'{case}, {name} CPU']:.1f}",
                f"{figures[f'{case}, {name} peak memory']:.0f}",
                same,
            )
        )
    rows.sort(key=lambda row: (row[0] != "an hour", row[1]))
    return markdown(
        ("", "tool", "records", "wall s", "CPU s", "peak MiB", "result"), [(row[0], *row[2:]) for row in rows]
    )


def _runs(figures: dict[str, float]) -> list[tuple[str, str]]:
    found = [match.groups() for name in figures if (match := re.fullmatch(r"(.+), (\S+) equal", name))]
    return [(case, name) for case, name in found if case != "edges"]


def _part(part: Part, result: Result) -> str:
    about = result.machine
    lines = [
        f"## {part.name}: {part.about}\n",
        f"`{' '.join(['python -m', part.module, *result.arguments])}`, {result.at} UTC, {result.seconds:.0f} s. "
        f"{machine_text(about)}, load before {about['load_1min']}. {versions_text(result.versions)}.\n",
    ]
    if result.failed:
        lines.append(f"```\n{result.failed}\n```\n")
    if result.figures:
        lines.append(figure_table(result.figures))
    return "\n".join(lines)


def svg(results: dict[str, Result]) -> str:
    """Two panels: each figure as a share of its limit, and the peers' records a second."""
    shares = []
    for target in TARGETS:
        result = results.get(target.part)
        if result is None or result.failed:
            continue
        try:
            value = target.figure(result.by_name())
        except KeyError:
            continue
        share = target.target / value if target.at_least else value / target.target
        shares.append(Bar(target.what.replace("`", ""), share, f"{value:.3g} {target.unit}".strip()))
    peers = []
    if "peers" in results and not results["peers"].failed:
        figures = results["peers"].by_name()
        for case, name in _runs(figures):
            if f"{case}, {name} wall" in figures:
                speed = figures[f"{case}, {name} records"] / figures[f"{case}, {name} wall"]
                peers.append(Bar(f"{case}: {name}", speed, f"{speed:,.0f}"))
    return picture(
        [("Share of the limit used (the line is the limit)", shares, 1.0), ("Records a second", peers, None)]
    )


def write_documents(root: Path = ROOT, folder: Path = RESULTS) -> None:
    """Put the full size's tables between the markers of `docs/performance.md`, and the headline rows into the README.

    Raises ValueError if a document has no markers.
    """
    results = load("full", folder)
    every = targets_table("full", results)
    if "peers" in results:
        every += "\n" + peers_table(results["peers"])
    _write_between_markers(root / "docs" / "performance.md", every)
    headlines = [target for target in TARGETS if target.headline]
    _write_between_markers(root / "README.md", targets_table("full", results, headlines))


def _write_between_markers(path: Path, table: str) -> None:
    text = path.read_text(encoding="utf-8")
    begin, end = _MARKERS
    if begin not in text or end not in text:
        raise ValueError(f"{path} has no markers {begin} and {end}")
    before, rest = text.split(begin, 1)
    after = rest.split(end, 1)[1]
    path.write_text(f"{before}{begin}\n\n{table}\n{end}{after}", encoding="utf-8")


def missing(results: dict[str, Result], names: Sequence[str]) -> list[str]:
    """The parts of these names that failed or were never run."""
    return [name for name in names if name not in results or results[name].failed]
