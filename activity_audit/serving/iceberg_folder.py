"""A folder with a table in Iceberg's format: its metadata, and which Parquet files it is made of.

There is no catalog: `metadata/version-hint.text` names the newest `metadata/v<number>.metadata.json`, as engines expect
of a folder. A commit is the replacement of that hint.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import fsspec
from pyiceberg import types
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io.fsspec import FsspecFileIO
from pyiceberg.io.pyarrow import parquet_files_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.serializers import FromInputFile, ToOutputFile
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import TableMetadata, TableMetadataV2
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import TableRequirement, TableUpdate, update_table_metadata

from activity_audit.base.files import rewrite

# A reader that began with an older version may still read its files for this long.
_GRACE_SECONDS = 3600
# Each commit adds a manifest; a reader opens all of them.
_MOST_MANIFESTS = 100
# What is made here; everything else in the folder is somebody else's.
_OWN = re.compile(r"/metadata/(v\d+\.metadata\.json|[\w-]+\.avro)$|/data/serving-[\w-]+\.parquet$")
_TYPES: dict[str, Callable[[], types.IcebergType]] = {
    "varchar": types.StringType,
    "int64": types.LongType,
    "boolean": types.BooleanType,
    "timestamp": types.TimestampType,
    "date": types.DateType,
    "blob": types.BinaryType,
}
_NAME_MAPPING = "schema.name-mapping.default"


class StrangeFileError(RuntimeError):
    """The files are not all that the table is: what DuckLake writes for an UPDATE has columns of its own."""


class IcebergFolder(NoopCatalog):
    """One table in a folder, which is a path or a URL that fsspec knows."""

    def __init__(self, location: str) -> None:
        super().__init__("folder")
        self.location = location
        self._io = FsspecFileIO({})
        self._fs, self._root = fsspec.core.url_to_fs(location)
        self._version = 0
        self._metadata = self._read()

    @property
    def properties_of_table(self) -> Mapping[str, str]:
        """The properties that the newest version has; none where there is no version."""
        return self._metadata.properties if self._metadata else {}

    def set_files(self, schema: Schema, files: Collection[str], properties: Mapping[str, str], records: int) -> None:
        """Commit a version that consists of these Parquet files with so many rows, with these properties.

        A table whose columns changed begins again under another id.

        Raises:
            StrangeFileError: if the files have other columns than the table, or another number of rows; nothing is
                committed then.
        """
        if self._metadata is None or self._metadata.schema() != schema:
            self._metadata = _empty(self.location, schema)
        current = self._files()
        table = Table((self.location,), self._metadata, "", self._io, self)
        lost = [file for path, file in current.items() if path not in files]
        kept = [file for path, file in current.items() if path in files]
        try:
            unknown = iter(sorted(set(files) - current.keys()))
            new = list(parquet_files_to_data_files(self._io, self._metadata, unknown))
        except KeyError as column:
            raise StrangeFileError(f"a file of {self.location} has a column {column}") from None
        if (found := sum(file.record_count for file in (*kept, *new))) != records:
            raise StrangeFileError(f"the files of {self.location} have {found} rows, and the table has {records}")
        if self._manifests() >= _MOST_MANIFESTS:
            lost, new = lost + kept, kept + new
        with table.transaction() as transaction:
            transaction.set_properties(dict(properties))
            if lost or new:
                with transaction.update_snapshot(snapshot_properties=dict(properties)).overwrite() as change:
                    for file in lost:
                        change.delete_data_file(file)
                    for file in new:
                        change.append_data_file(file)

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        """See Catalog: write the next version. It has only its own snapshot: the files of older ones go."""
        metadata = update_table_metadata(table.metadata, updates)
        current = metadata.current_snapshot()
        metadata = metadata.model_copy(
            update={"snapshots": [current] if current else [], "snapshot_log": metadata.snapshot_log[-1:]}
        )
        self._version += 1
        path = self._path(self._version)
        ToOutputFile.table_metadata(metadata, self._io.new_output(path), overwrite=True)
        self._point_to(self._version)
        self._metadata = metadata
        return CommitTableResponse.model_validate({"metadata": metadata, "metadata-location": path})

    def remove_unneeded(self) -> None:
        """Remove what only versions need that were replaced long enough ago for their readers to be done."""
        needed: set[str] = set()
        for version in range(self._version, 0, -1):
            path = self._path(version)
            if not self._fs.exists(path):
                break
            needed |= {path, *self._needed_by(self._load(version))}
            if _age(self._fs.modified(path)) > _GRACE_SECONDS:
                break
        names = {self._fs._strip_protocol(path) for path in needed}
        for path in self._fs.find(self._root):
            is_old = _age(self._fs.modified(path)) > _GRACE_SECONDS
            if _OWN.search(path) and path not in names and is_old:
                self._fs.rm_file(path)

    def _needed_by(self, metadata: TableMetadata) -> Iterator[str]:
        if snapshot := metadata.current_snapshot():
            yield snapshot.manifest_list
            yield from (one.manifest_path for one in snapshot.manifests(self._io))
            yield from (file.file_path for file in self._data_files(metadata))

    def _read(self) -> TableMetadata | None:
        if not self._fs.exists(self._hint()):
            return None
        self._version = int(self._fs.cat_file(self._hint()))
        return self._load(self._version)

    def _load(self, version: int) -> TableMetadata:
        return FromInputFile.table_metadata(self._io.new_input(self._path(version)))

    def _files(self) -> dict[str, DataFile]:
        return {file.file_path: file for file in self._data_files(self._metadata)}

    def _data_files(self, metadata: TableMetadata | None) -> Iterator[DataFile]:
        if metadata and (snapshot := metadata.current_snapshot()):
            for manifest in snapshot.manifests(self._io):
                yield from (one.data_file for one in manifest.fetch_manifest_entry(self._io, discard_deleted=True))

    def _manifests(self) -> int:
        snapshot = self._metadata.current_snapshot() if self._metadata else None
        return len(snapshot.manifests(self._io)) if snapshot else 0

    def _path(self, version: int) -> str:
        return f"{self.location}/metadata/v{version}.metadata.json"

    def _hint(self) -> str:
        return f"{self.location}/metadata/version-hint.text"

    def _point_to(self, version: int) -> None:
        if "file" in (self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)):
            rewrite(Path(self._fs._strip_protocol(self._hint())), str(version))
        else:
            self._fs.pipe_file(self._hint(), str(version).encode())


def _empty(location: str, schema: Schema) -> TableMetadata:
    """A table without rows. Its columns have the numbers by which the data files know them."""
    return TableMetadataV2.model_validate(
        {
            "location": location,
            "schemas": [schema],
            "current-schema-id": schema.schema_id,
            "last-column-id": schema.highest_field_id,
            "partition-specs": [UNPARTITIONED_PARTITION_SPEC],
            "default-spec-id": UNPARTITIONED_PARTITION_SPEC.spec_id,
            "last-partition-id": 999,
            "sort-orders": [UNSORTED_SORT_ORDER],
            "default-sort-order-id": UNSORTED_SORT_ORDER.order_id,
            "properties": {_NAME_MAPPING: schema.name_mapping.model_dump_json()},
        }
    )


def _age(modified: datetime) -> float:
    return time.time() - modified.timestamp()


def iceberg_schema(columns: Collection[tuple[int, str, str, int | None]]) -> Schema:
    """The schema of columns as `lake_catalog.columns` has them."""
    elements = {parent: (number, _TYPES[kind]()) for number, _, kind, parent in columns if parent is not None}
    fields = []
    for number, name, kind, parent in columns:
        if parent is None:
            if kind == "list":
                element, of = elements[number]
                shown: types.IcebergType = types.ListType(element_id=element, element_type=of, element_required=False)
            else:
                shown = _TYPES[kind]()
            fields.append(types.NestedField(field_id=number, name=name, field_type=shown, required=False))
    return Schema(*fields, schema_id=0)
