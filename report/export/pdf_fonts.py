"""The fonts of a PDF, all of them from packages: what they can show, and texts with nothing else in them."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typst

FAMILIES = ("Noto Sans", "Noto Sans CJK SC", "Noto Sans Symbols", "Noto Emoji")
# The second one is the extra `cjk`: Chinese, Japanese and Korean take 33 MB.
_PACKAGES = ("manimgx_fonts", "manimgx_fonts_cjk")
# They join characters or choose their shape, and have none of their own.
_JOINERS = frozenset("\u200c\u200d\ufe0e\ufe0f")


@cache
def fonts() -> typst.Fonts:
    """The fonts for the typesetter; those of the machine are not looked at, so a PDF is the same everywhere."""
    import typst

    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder) for folder in _folders()]
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

    codes: set[int] = set()
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
