"""The data docs' pages, drawn with Great Expectations' renderers. Imports Great Expectations: import late.

GX lays out the expectations and their results; the page around them is `templates/audit_page.html`, because
GX's own loads a dozen scripts and styles from the internet and is blank without them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from great_expectations.expectations.expectation import Expectation
from great_expectations.render import (
    RenderedDocumentContent,
    RenderedSectionContent,
    RenderedStringTemplateContent,
)
from great_expectations.render.renderer.content_block import (
    ExpectationSuiteBulletListContentBlockRenderer,
    ValidationResultsTableContentBlockRenderer,
)
from great_expectations.render.view import DefaultJinjaPageView

from activity_audit.base.shown_text import visible
from expectations.docs_index import LEVELS, TEMPLATES_DIR, Level, RunSummary
from expectations.evaluation import Evaluation

_HEADINGS = {"error": "Errors", "warning": "Warnings", "passed": "Passed"}
_WORDS = {"error": "Error", "warning": "Warning", "passed": "Passed"}


# GX names its page's template and the cells of its table in these two attributes, and has no public means to change
# either; the test of the pages fails where a new release names them otherwise.
class _PageView(DefaultJinjaPageView):
    _template = "audit_page.html"


class _ResultsTable(ValidationResultsTableContentBlockRenderer):
    """GX's table of results, whose status knows warnings and whose observation is a count of a total."""

    @classmethod
    def _get_content_block_fn(cls, expectation_type: str, expectation_config: Any = None) -> Callable[..., Any] | None:
        gx_row = super()._get_content_block_fn(expectation_type, expectation_config)

        def row(result: Any = None, **kwargs: Any) -> Any:
            if gx_row is None:
                return None
            (_, expectation, *_), *_ = gx_row(result=result, **kwargs)
            level = result.meta["level"]
            counts = f"{result.result['unexpected_count']:,} of {result.result['element_count']:,} unexpected"
            return [[_badge(_WORDS[level], level), expectation, counts]]

        return row


def result_page(
    run: RunSummary, titles: Mapping[str, str], results: Mapping[str, Sequence[tuple[Evaluation, Level]]]
) -> str:
    """The page of a run: for each suite errors first, then warnings, then what passed.

    `titles` and `results` are by the suite's name; a suite's results are in the order in which they are shown.
    """
    sections: list[RenderedSectionContent] = []
    parts: dict[int, dict[str, str]] = {}
    for summary in run.suites:
        parts[len(sections)] = {
            "suite": summary.suite,
            "title": titles[summary.suite],
            "counts": f"{summary.passed} expectations passed, {summary.warning} came out as a warning and "
            f"{summary.error} as an error.",
        }
        for evaluation, level in results[summary.suite]:
            _complete(evaluation, level)
        for level in LEVELS:
            found = [evaluation.gx_result for evaluation, its_level in results[summary.suite] if its_level == level]
            if found:
                block = _ResultsTable.render(found, include_column_name=True)
                sections.append(RenderedSectionContent(section_name=_HEADINGS[level], content_blocks=[block]))
    facts = [f"Its id, and its snapshot's: {run.run_id}"]
    return _page(sections, heading=f"The run of {run.started}", facts=facts, parts=parts, run=run)


def suite_page(suite: str, purpose: str, expectations: Sequence[Expectation]) -> str:
    """The page that says what a suite expects and why, apart from any run."""
    configurations = [expectation.configuration for expectation in expectations]
    block = ExpectationSuiteBulletListContentBlockRenderer.render(configurations, include_column_name=True)
    return _page(
        [RenderedSectionContent(section_name="Expectations", content_blocks=[block])],
        heading=f"The suite {suite}",
        facts=[purpose],
        parts={},
    )


def _complete(evaluation: Evaluation, level: Level) -> None:
    """Put into GX's result what its renderers show and GX itself did not fetch."""
    result = evaluation.gx_result
    share = 100 * evaluation.unexpected / evaluation.evaluated if evaluation.evaluated else 0.0
    result.meta = {"level": level}
    result.result = {
        "element_count": evaluation.evaluated,
        "unexpected_count": evaluation.unexpected,
        "unexpected_percent": share,
        # Escaped here, because GX puts table cells and queries into its pages as they are, and a sample is
        # text that a source sent.
        "partial_unexpected_list": [html.escape(visible(item)) for item in evaluation.sample],
        "unexpected_index_query": html.escape(evaluation.rule.unexpected_query),
    }


def _badge(text: str, level: Level) -> RenderedStringTemplateContent:
    return RenderedStringTemplateContent(
        content_block_type="string_template",
        string_template={"template": text, "tag": "span", "styling": {"classes": ["level", level]}},
    )


def _page(sections: list[Any], **context: Any) -> str:
    document = RenderedDocumentContent(sections=sections, renderer_type="AuditPageRenderer")
    page = _view().render(document, **context)
    # GX's templates leave more blanks than text, and have headings that are none.
    return re.sub(r"<(/?)h6\b", r"<\1p", re.sub(r"\s*\n\s*", "\n", page))


@cache
def _view() -> _PageView:
    # One for all pages: compiling GX's templates takes longer than filling them.
    return _PageView(custom_views_directory=str(TEMPLATES_DIR))
