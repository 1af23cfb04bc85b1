"""Transactions of the warehouse: each commits only onto the snapshot that its work was made from.

A lock lets one run of a home write at a time. Of two homes on one catalogue each has its own, so the catalogue itself
decides: a run remembers the number of the snapshot that it began with, its transaction begins only if that is still the
newest, and DuckLake gives the next number to one transaction alone, because snapshots have a primary key
(`lake_location.prepare` keeps it from trying again with the number after that). So what a run found when it judged, the
published ids and the end of the ledger among it, is what its own snapshot follows on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import sleep
from typing import Any

import duckdb

from activity_audit.base.faults import damaged_data, sentence
from activity_audit.base.masking import without_secrets
from activity_audit.warehouse import lake, move_marks

_AUTHOR = "activity-audit"
# How often it is asked what another writer has committed, and how long, in seconds, that is waited for each time.
_LOOKS = 10
_PAUSE = 0.2
_NO_SPACE = "No space left on device"
# DuckDB's messages begin with what it sent to the catalog's database, which may be very long.
_QUERY = re.compile(r'^.*?Failed to (?:execute query|prepare COPY) ".*": ', re.DOTALL)


class PublishedMeanwhileError(lake.WarehouseError):
    """Another process published into the warehouse since this one looked at it; nothing of this one is published."""

    def __init__(self) -> None:
        super().__init__(
            "another run published into this warehouse in the meantime, so this run published nothing; "
            "the next run, or the same command again, publishes it"
        )


class NotPublishedError(lake.WarehouseError):
    """DuckDB or the catalog's database failed before anything was published."""


class OutcomeUnknownError(lake.WarehouseError):
    """The catalog's database went away while a transaction was committed, so that nobody knows yet what it has."""


def snapshot_now(connection: duckdb.DuckDBPyConnection) -> int | None:
    """The number of the newest snapshot; None where `audit` is not a lake, but a scratch database of one process.

    To be asked before anything is read that is to be published: see `transaction`.
    """
    if not lake.is_lake(connection):
        return None
    return connection.execute(f"select id from {lake.ALIAS}.current_snapshot()").fetchall()[0][0]


class transaction:
    """One transaction of the warehouse and its commit message, with `extra` as JSON; rolled back if the block fails.

    What it writes was made from the snapshot `since`, of `snapshot_now`; if there is a newer one, nothing is written.

    Raises:
        PublishedMeanwhileError: if somebody else changed the warehouse since.
        NotPublishedError: if the warehouse was moved away; a move itself (`is_move`) goes on.
        NotPublishedError: if DuckDB or the catalog's database failed; nothing is written.
        OutcomeUnknownError: if the catalog's database cannot say whether the transaction was committed.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        message: str,
        extra: dict[str, Any],
        *,
        since: int | None,
        is_move: bool = False,
    ) -> None:
        self._connection = connection
        self._message = message
        self._extra = extra
        self._since = since
        self._is_move = is_move

    def __enter__(self) -> None:
        self._connection.execute("begin transaction")
        try:
            # From here on the transaction reads the snapshot that this finds.
            if snapshot_now(self._connection) == self._since:
                closed = None if self._is_move or self._since is None else move_marks.why_closed(self._connection)
                if closed is None:
                    return
                self._roll_back()
                raise NotPublishedError(f"this run published nothing: {closed}")
        except duckdb.Error as error:
            self._roll_back()
            raise _not_published(error) from None
        self._roll_back()
        raise PublishedMeanwhileError

    def __exit__(self, error_type: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        if error_type is not None:
            self._roll_back()
            if isinstance(error, duckdb.Error):
                with suppress(duckdb.Error):
                    if self._newer(error):
                        raise PublishedMeanwhileError from None
                raise _not_published(error) from None
            return
        try:
            if self._since is not None:
                self._connection.execute(
                    f"call {lake.ALIAS}.set_commit_message(?, ?, extra_info => ?)",
                    [_AUTHOR, self._message, json.dumps(self._extra)],
                )
            self._connection.execute("commit")
        except duckdb.Error as failure:
            if not self._is_committed(failure):
                raise _not_published(failure) from None

    def _roll_back(self) -> None:
        # A catalog that is gone cannot roll back either, and that is not what went wrong first.
        with suppress(duckdb.Error):
            self._connection.execute("rollback")

    def _is_committed(self, failure: duckdb.Error) -> bool:
        """Whether a commit that failed was carried out all the same; the catalog is asked, not the message."""
        try:
            newer = self._newer(failure)
        except duckdb.Error as unreachable:
            raise OutcomeUnknownError(
                "the connection to the catalog broke while this run was committed, so it is not known whether "
                f"the run is published: {cause(unreachable)}. When the catalog is back, the next run finds "
                "out and publishes what is missing; `audit status` shows what is published"
            ) from None
        if newer and newer[0] != self._message:
            raise PublishedMeanwhileError from None
        return bool(newer)

    def _newer(self, failure: duckdb.Error) -> list[str | None]:
        """The messages of what was committed since, the oldest first."""
        if self._since is None:
            return []
        query = f"select commit_message from {lake.ALIAS}.snapshots() where snapshot_id > ? order by snapshot_id"
        # SQLite refuses a second writer at once, while the first is about to commit.
        for _ in range(_LOOKS if "database is locked" in str(failure) else 1):
            if newer := self._connection.execute(query, [self._since]).fetchall():
                break
            sleep(_PAUSE)
        return [row[0] for row in newer]


@contextmanager
def in_transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """A transaction on databases that are no lake; rolled back if the block fails."""
    connection.execute("begin transaction")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        # A server that is gone cannot roll back, and a connection that is closed in a transaction ends the process.
        with suppress(duckdb.Error):
            connection.execute("rollback")
        raise


def _not_published(error: duckdb.Error) -> NotPublishedError:
    return NotPublishedError(f"this run published nothing, because the warehouse failed: {cause(error)}")


def cause(error: duckdb.Error) -> str:
    """What went wrong: in a sentence, if the disk is full or a data file is damaged, else as DuckDB says, in a line."""
    if _NO_SPACE in str(error):
        return sentence("IOException", str(error), "the warehouse") or _NO_SPACE
    if said := damaged_data(error):
        return said
    text = _QUERY.sub("", str(error), count=1).partition("\n\n")[0]
    return without_secrets(" ".join(text.split()))
