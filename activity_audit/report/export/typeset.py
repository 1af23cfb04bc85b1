"""Sets a PDF in a process of its own, `python -m activity_audit.report.export.typeset`.

It reads the content and writes the PDF.
The typesetter keeps much of what it has set in memory, and cannot be stopped; a process can be, and gives it back.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

_TEMPLATE = Path(__file__).with_name("pdf.typ")
_LOOK_EVERY = 0.1


def typeset(content: dict[str, Any], made_at: datetime, check: Callable[[], None] = lambda: None) -> bytes:
    """The PDF of what the template is given; `check` is called meanwhile and may end it by raising.

    Raises:
        RuntimeError: if it cannot be set; the message is the typesetter's.
    """
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

    from activity_audit.report.export.pdf_fonts import fonts

    asked = json.load(sys.stdin.buffer)
    compiler = typst.Compiler(_TEMPLATE, font_paths=fonts(), sys_inputs={"content": asked["content"]})
    # A PDF has its time to the second.
    made_at = datetime.fromisoformat(asked["made_at"]).replace(microsecond=0)
    pdf = compiler.compile(format="pdf", timestamp=made_at)
    assert isinstance(pdf, bytes)
    sys.stdout.buffer.write(pdf)


if __name__ == "__main__":
    main()
