"""An error, and the errors that it came from."""

from __future__ import annotations

from collections.abc import Iterator


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, its cause or what was handled when it was raised, and so on; each once.

    A chain may be a ring: an error that is raised while one is handled that it caused itself.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
