"""Sets a PDF in a process of its own, `python -m activity_audit.report.export.typeset`.

It reads the content and writes the PDF.
The typesetter keeps much of what it has set in memory, and cannot be stopped; a process can be, and gives it back.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import typst

_TEMPLATE = Path(__file__).with_name("pdf.typ")
_LOOK_EVERY = 0.1
_ONE = threading.Lock()
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


def typeset(content: dict[str, Any], made_at: datetime, check: Callable[[], None] = lambda: None) -> bytes:
    """The PDF of what the template is given; `check` is called meanwhile and may end it by raising.

    One is set after the other, because a long one takes much memory.

    Raises:
        RuntimeError: if it cannot be set; the message is the typesetter's.
    """
    while not _ONE.acquire(timeout=_LOOK_EVERY):
        check()
    try:
        return _typeset(content, made_at, check)
    finally:
        _ONE.release()


def _typeset(content: dict[str, Any], made_at: datetime, check: Callable[[], None]) -> bytes:
    command = [sys.executable, "-P", "-m", __name__]
    # From a file: a pipe would have to be filled and emptied at the same time.
    with TemporaryFile() as asked:
        asked.write(json.dumps({"content": json.dumps(content), "made_at": made_at.isoformat()}).encode())
        asked.seek(0)
        with subprocess.Popen(command, stdin=asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as setter:
            pdf, said = _answer(setter, check)
    if setter.returncode:
        raise RuntimeError(f"the PDF cannot be made: {said.decode(errors='replace')}")
    return pdf


def _answer(setter: subprocess.Popen[bytes], check: Callable[[], None]) -> tuple[bytes, bytes]:
    while True:
        try:
            return setter.communicate(timeout=_LOOK_EVERY)
        except subprocess.TimeoutExpired:
            pass
        try:
            check()
        except BaseException:
            setter.kill()
            raise


def main() -> None:
    """Set what standard input says, as `typeset` writes it, to standard output."""
    import typst

    asked = json.load(sys.stdin.buffer)
    compiler = typst.Compiler(_TEMPLATE, font_paths=fonts(), sys_inputs={"content": asked["content"]})
    # A PDF has its time to the second.
    made_at = datetime.fromisoformat(asked["made_at"]).replace(microsecond=0)
    pdf = compiler.compile(format="pdf", timestamp=made_at)
    assert isinstance(pdf, bytes)
    sys.stdout.buffer.write(pdf)


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


if __name__ == "__main__":
    main()
