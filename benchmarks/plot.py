"""Bars as SVG, without a library: panels of horizontal bars, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_LEFT, _WIDTH, _RIGHT, _ROW, _TITLE = 390, 420, 110, 22, 40
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}.name{text-anchor:end}"
    ".bar{fill:#2f6f9f}.over{fill:#b35900}.limit{stroke:#24292f;stroke-dasharray:4 3}"
)


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its length, and what is written at its end."""

    name: str
    value: float
    text: str


def picture(panels: Sequence[tuple[str, Sequence[Bar], float | None]]) -> str:
    """Panels of a title, bars and perhaps a limit, which is drawn as a line; bars beyond it have another colour."""
    drawn: list[str] = []
    top = 0
    for title, bars, limit in panels:
        if bars:
            drawn += _panel(title, bars, limit, top)
            top += _TITLE + _ROW * len(bars)
    width, height = _LEFT + _WIDTH + _RIGHT, top + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><style>{_STYLE}</style><rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )


def _panel(title: str, bars: Sequence[Bar], limit: float | None, top: int) -> list[str]:
    longest = max([bar.value for bar in bars] + [limit or 0]) or 1
    scale = _WIDTH / longest
    drawn = [f'<text class="title" x="12" y="{top + 26}">{escape(title)}</text>']
    for number, bar in enumerate(bars):
        y = top + _TITLE + _ROW * number
        length = max(1.0, bar.value * scale)
        kind = "over" if limit is not None and bar.value > limit else "bar"
        drawn += [
            f'<text class="name" x="{_LEFT - 8}" y="{y + 14}">{escape(bar.name)}</text>',
            f'<rect class="{kind}" x="{_LEFT}" y="{y + 2}" width="{length:.1f}" height="{_ROW - 6}"/>',
            f'<text x="{_LEFT + length + 6:.1f}" y="{y + 14}">{escape(bar.text)}</text>',
        ]
    if limit is not None:
        x, bottom = _LEFT + limit * scale, top + _TITLE + _ROW * len(bars)
        drawn.append(f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{top + _TITLE - 4}" y2="{bottom}"/>')
    return drawn
