"""Draws what a soak measured: `python -m tests.torture.soak_plot soak.csv soak.svg`; a panel for each kind of thing."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import median

_COLUMNS, _WIDTH, _HEIGHT, _LEFT, _TOP = 2, 330, 120, 70, 44
_PANELS = (
    ("CPU of an hour's run, s", 1.0, ("run_cpu_s",)),
    ("CPU of the daily upkeep and of a status, s", 1.0, ("upkeep_cpu_s", "status_cpu_s")),
    ("CPU of a look of sensor and schedule, and of three pages, s", 1.0, ("look_cpu_s", "pages_cpu_s")),
    ("Memory of the long-lived processes, MiB", 1.0, ("runner_mib", "sensor_mib", "report_mib")),
    ("Open descriptors", 1.0, ("runner_descriptors", "sensor_descriptors", "report_descriptors")),
    ("Snapshots", 1.0, ("snapshots",)),
    ("Files: raw, data, Dagster", 1.0, ("raw_files", "data_files", "dagster_files")),
    ("Catalog, index of the raw lake, MB", 1e-6, ("catalog_bytes", "raw_index_bytes")),
    ("Dagster's records, and its index of events, MB", 1e-6, ("dagster_bytes", "dagster_index_bytes")),
    ("Data files, raw files, MB", 1e-6, ("data_bytes", "raw_bytes")),
)
_COLOURS = ("#2f6f9f", "#b35900", "#4a7a2c")


def picture(rows: Sequence[dict[str, str]]) -> str:
    """The rows of a soak as SVG."""
    drawn = []
    for number, (title, scale, names) in enumerate(_PANELS):
        left = _LEFT + (number % _COLUMNS) * (_WIDTH + _LEFT + 20)
        drawn += _panel(rows, title, scale, names, left, _TOP + number // _COLUMNS * (_HEIGHT + 62))
    width, height = _COLUMNS * (_WIDTH + _LEFT + 20), -(-len(_PANELS) // _COLUMNS) * (_HEIGHT + 62) + 10
    style = "text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}.end{text-anchor:end}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><style>{style}</style><rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )


def _panel(
    rows: Sequence[dict[str, str]], title: str, scale: float, names: Sequence[str], left: int, top: int
) -> list[str]:
    lines = {name: [(int(row["hour"]), float(row[name]) * scale) for row in rows if row[name]] for name in names}
    # A process's first look and first run import; they would flatten all others.
    highest = max((value for points in lines.values() for _, value in points[1:]), default=0) or 1
    hours = int(rows[-1]["hour"])
    drawn = [
        f'<text class="title" x="{left}" y="{top - 20}">{escape(title)}</text>',
        f'<path d="M{left} {top}V{top + _HEIGHT}H{left + _WIDTH}" fill="none" stroke="#24292f"/>',
        f'<text class="end" x="{left - 4}" y="{top + 10}">{highest:,.{0 if highest >= 100 else 2}f}</text>',
        f'<text class="end" x="{left - 4}" y="{top + _HEIGHT}">0</text>',
        f'<text class="end" x="{left + _WIDTH}" y="{top + _HEIGHT + 14}">hour {hours}</text>',
    ]
    for place, (name, points) in enumerate(lines.items()):
        at = " ".join(
            f"{left + _WIDTH * hour / hours:.1f},{top + _HEIGHT * (1 - min(1, value / highest)):.1f}"
            for hour, value in points
        )
        colour = _COLOURS[place]
        drawn.append(f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
        drawn.append(f'<text x="{left + place * 115}" y="{top - 5}" style="fill:{colour}">{escape(name)}</text>')
    return drawn


def table(rows: Sequence[dict[str, str]]) -> str:
    """The median of the first and of the last quarter after the first days, as Markdown."""
    settled = rows[len(rows) // 4 :]
    quarter = max(1, len(settled) // 3)
    lines = ["| | earlier | last |", "|---|---:|---:|"]
    for _, scale, names in _PANELS:
        for name in names:
            parts = [
                [float(row[name]) * scale for row in part if row[name]]
                for part in (settled[:quarter], settled[-quarter:])
            ]
            if all(parts):
                lines.append(f"| {name} | {median(parts[0]):,.4g} | {median(parts[1]):,.4g} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    given, made = map(Path, sys.argv[1:])
    with given.open(newline="") as file:
        found = list(csv.DictReader(file))
    made.write_text(picture(found), encoding="utf-8")
    sys.stdout.write(table(found))
