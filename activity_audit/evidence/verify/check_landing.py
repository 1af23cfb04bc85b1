"""Are the files that were delivered still as they were landed? They belong to the source, so a change is a warning."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from activity_audit.evidence.verify.check_raw import PublishedDelivery
from activity_audit.evidence.verify.findings import Finding
from activity_audit.ingest.sources.file_systems import LocalFiles, local_path, path_of, shown_path
from activity_audit.ledger.raw_hashes import each_sha256_or_error


def check_landing(feed_root: str, published: Iterable[PublishedDelivery]) -> tuple[int, list[Finding]]:
    """Hash what is still there of the delivered files below a local folder; how many, and what differs.

    A file that is gone is no finding: what is landed is in the raw lake.
    """
    root = local_path(feed_root)
    if root is None:
        return 0, []
    known = defaultdict(set)
    for delivery in published:
        uri_path = path_of(delivery.source_uri)
        if uri_path and (path := Path(uri_path)).is_relative_to(root) and path.is_file():
            known[path].add(delivery.sha256)
    findings = []
    files = LocalFiles(root)
    hashes = each_sha256_or_error(known, lambda path: files.open(str(path)))
    for path, found in zip(known, hashes, strict=True):
        if isinstance(found, OSError):
            detail = f"it cannot be read: {found.strerror or found}"
            findings.append(Finding("landing", "unreadable", shown_path(str(path)), detail, "warning"))
        elif found is not None and found not in known[path]:
            detail = (
                f"its hash is {found}, which was not published under this name; the next run reads it as a new delivery"
            )
            findings.append(Finding("landing", "changed", shown_path(str(path)), detail, "warning"))
    return len(known), findings
