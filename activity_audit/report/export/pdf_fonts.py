"""The fonts of a PDF, all of them from packages: what they can show, and texts with nothing else in them."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typst

_EMBEDDED = "DejaVu Sans Mono"
FAMILIES = ("Noto Sans", "Noto Sans CJK SC", "Noto Sans Symbols", "Noto Emoji", _EMBEDDED)
# Signs that only the typesetter's own font has, such as ✓, ≤ and ★. It is no file whose table could be read.
_EMBEDDED_SIGNS = (
    (0x2190, 0x2213), (0x2215, 0x2215), (0x2217, 0x2220), (0x2223, 0x2223), (0x2227, 0x222D), (0x2234, 0x223D),
    (0x2241, 0x2269), (0x226D, 0x228B), (0x228D, 0x22A5), (0x2308, 0x2315), (0x2500, 0x262F), (0x2638, 0x268B),
    (0x2690, 0x269C), (0x2701, 0x2704), (0x2706, 0x2709), (0x270C, 0x2727), (0x2729, 0x274B), (0x274D, 0x274D),
    (0x274F, 0x2752), (0x2756, 0x2756), (0x2758, 0x275E), (0x2761, 0x2775), (0x2798, 0x27AF), (0x27B1, 0x27BE),
)  # fmt: skip
# The second one is the extra `cjk`: Chinese, Japanese and Korean take 33 MB.
_PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
# They join characters or choose their shape, and have none of their own.
_JOINERS = frozenset("\u200c\u200d\ufe0e\ufe0f")


@cache
def fonts() -> typst.Fonts:
    """The fonts for the typesetter; those of the machine are not looked at, so a PDF is the same everywhere."""
    import typst

    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=True, font_paths=[str(folder) for folder in _folders()]
    )


def readable(text: str) -> str:
    """The text with what no font has, and what is not to be seen or turns the text around, as `[U+202E]`."""
    known = _characters()
    if known.issuperset(text):
        return text
    return "".join(sign if sign in known else _named(sign) for sign in text)


def _named(sign: str) -> str:
    return " " if sign.isspace() else f"[U+{ord(sign):04X}]"


@cache
def _characters() -> frozenset[str]:
    from fontTools.ttLib import TTCollection, TTFont

    codes = {code for first, last in _EMBEDDED_SIGNS for code in range(first, last + 1)}
    for path in (path for folder in _folders() for path in sorted(folder.iterdir())):
        if path.suffix == ".ttf":
            codes.update(TTFont(path, lazy=True).getBestCmap())
        elif path.suffix == ".ttc":
            for font in TTCollection(path, lazy=True).fonts:
                codes.update(font.getBestCmap())
    return frozenset(sign for sign in map(chr, codes) if unicodedata.category(sign)[0] not in "CZ") | _JOINERS | {" "}


def _folders() -> list[Path]:
    found = [spec for name in _PACKAGES if (spec := find_spec(name))]
    return [Path(folder) for spec in found for folder in spec.submodule_search_locations or ()]
