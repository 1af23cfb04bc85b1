"""The same as `activity_audit.ingest.sources.source`, for classes of users that import it from here."""

from activity_audit.ingest.sources.source import Listing, Offer, Source, SourceError, SourceRefusedError, Unlisted

__all__ = ["Listing", "Offer", "Source", "SourceError", "SourceRefusedError", "Unlisted"]
