"""The applications that the prompt offers: those of the document, and those that events named."""

from __future__ import annotations

from dataclasses import dataclass

from activity_audit.report.queries.warehouse import Query, remembered

MOST = 200


@dataclass(frozen=True)
class Application:
    """An application as the warehouse has it, and the name that people know."""

    application: str
    display_name: str
    is_documented: bool

    @property
    def title(self) -> str:
        """Both names, as the document writes them, or the one where they are the same."""
        if self.application == self.display_name:
            return self.application
        return f"{self.application} ({self.display_name})"


@remembered
def applications(query: Query, limit: int = MOST) -> list[Application]:
    """The prompt's applications, the documented ones first, then what was seen beside them; each by name.

    There are `limit` at most: events may name any number of applications, and every page has the prompt.
    """
    # Another spelling of one that is listed is listed with it.
    odd = list(query.labels.odd.get("application", ()))
    rows = query.rows(
        "select application, display_name, in_report_prompt from audit.main.dim_application "
        "where (in_report_prompt or last_event_time_utc is not null) and not list_contains(?, application) "
        f"order by in_report_prompt desc, lower(application), application limit {int(limit)}",
        [odd],
    )
    return [Application(*row) for row in rows]
