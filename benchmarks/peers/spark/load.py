"""The core of the feed contract in PySpark, with all cores of this machine: two stages with a scratch table between.

Files are read whole and split, because Spark does not tell a line's position in its file.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import unicodedata
from pathlib import Path

import pandas as pd
from pyspark.sql import Column, DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

FIELDS = {
    "application": "application", "entity": "entity", "activity": "activity", "eventTime": "event_time",
    "eventId": "event_id", "triggeredBy": "triggered_by", "instance": "instance", "outcome": "outcome",
    "comments": "comments",
}  # fmt: skip
FACT = [
    "event_id", "event_time_utc", "application", "entity", "activity", "triggered_by", "instance", "outcome",
    "comments",
]  # fmt: skip
PLACE = ["source_uri", "source_record"]
REQUIRED = ["event_id", "event_time", "entity", "activity", "outcome"]
TIME = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?"
ZONE = r"(Z|[+-]\d{2}:\d{2})"
TOO_LARGE = 1_048_576
KEPT_OF_TOO_LARGE = 65_536
WHITE_SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
JSON_OPTIONS = {"allowSingleQuotes": "false", "allowNonNumericNumbers": "false"}


@F.pandas_udf(StringType())
def nfc(text: pd.Series) -> pd.Series:
    """Unicode's NFC, which Spark does not have."""
    return text.map(lambda value: unicodedata.normalize("NFC", value), na_action="ignore")


def session(scratch: Path) -> SparkSession:
    """Spark on this machine, for its cores."""
    cores = os.cpu_count() or 1
    os.environ["PYSPARK_PYTHON"] = sys.executable
    return (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.driver.memory", "6g")
        .config("spark.sql.shuffle.partitions", 4 * cores)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.local.dir", str(scratch))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )


def lines(spark: SparkSession, feeds: Path) -> DataFrame:
    """Every record with its place. As Latin-1, so that a line that is no UTF-8 can be told."""
    whole = spark.read.text(str(feeds), wholetext=True, recursiveFileLookup=True, pathGlobFilter="*.ndjson*")
    split = F.filter(
        F.split(F.decode(F.col("value").cast("binary"), "ISO-8859-1"), "\n"), lambda line: F.trim(line) != ""
    )
    parts = F.slice(F.split("source_uri", "/"), -4, 4)
    return (
        whole.select(F.input_file_name().alias("source_uri"), F.posexplode(split).alias("position", "latin"))
        .select(
            "source_uri",
            (F.col("position") + 1).cast("long").alias("source_record"),
            F.encode("latin", "ISO-8859-1").cast("string").alias("record"),
            parts[0].alias("feed"),
            F.to_timestamp(F.concat(parts[1], F.lit(" "), parts[2], F.lit(":00:00"))).alias("feed_hour"),
        )
        .withColumn("is_too_large", F.octet_length("record") > TOO_LARGE)
        .withColumn("is_text", F.expr("is_valid_utf8(record)"))
    )


def composed(name: str) -> Column:
    """A trimmed text in NFC; only what is not ASCII goes through Python."""
    return F.coalesce(nfc(F.when(F.col(name).rlike(r"[^\x00-\x7f]"), F.col(name))), name).alias(name)


def parsed(records: DataFrame) -> DataFrame:
    """Each record with its fields cleaned, its time understood, and the reasons that it carries in itself."""
    # As the one item of an array, so that nothing may follow the object.
    schema = f"array<struct<{', '.join(f'{name}: string' for name in FIELDS)}>>"
    text = F.when(F.col("is_text") & ~F.col("is_too_large"), F.concat(F.lit("["), "record", F.lit("]")))
    frame = records.withColumn("objects", F.from_json(text, schema, JSON_OPTIONS))
    found = (F.size("objects") == 1) & F.col("objects")[0].isNotNull()
    unparseable = F.when(~F.coalesce(found, F.lit(False)), "unparseable")
    frame = frame.withColumn("problem", F.when(F.col("is_too_large"), "too_large").otherwise(unparseable))
    kept = ["feed", "feed_hour", *PLACE, "problem", "record"]
    sent = [
        F.nullif(F.trim(F.col("objects")[0][sent], F.lit(WHITE_SPACE)), F.lit("")).alias(name)
        for sent, name in FIELDS.items()
    ]
    frame = frame.select(*kept, *sent).select(*kept, *map(composed, FIELDS.values()))
    frame = frame.withColumn("outcome", F.upper("outcome"))
    time = F.col("event_time")
    zoned, local = time.rlike(f"^{TIME}{ZONE}$"), time.rlike(f"^{TIME}$")
    moment = F.when(zoned | local, F.try_to_timestamp(time))
    reasons = {
        **{f"missing_{name}": F.col(name).isNull() for name in REQUIRED},
        "invalid_event_time": time.isNotNull() & moment.isNull(),
        "event_time_zone_unknown": local & moment.isNotNull(),
        "event_time_in_future": zoned & (moment > F.col("feed_hour") + F.expr("interval 2 hours")),
        "invalid_outcome": ~F.col("outcome").isin("SUCCESS", "FAILURE"),
    }
    own = F.array_compact(F.array(*(F.when(holds, name) for name, holds in reasons.items())))
    frame = frame.withColumn("reasons", F.when(F.col("problem").isNotNull(), F.array("problem")).otherwise(own))
    return frame.select(
        "feed", "feed_hour", *PLACE, *(name for name in FIELDS.values() if name != "event_time"), "reasons",
        F.when(zoned, moment).alias("event_time_utc"),
        F.coalesce(zoned & ~time.rlike(r"(Z|[+-]00:00)$"), F.lit(False)).alias("has_offset"),
        # Only what is quarantined for itself is kept; a conflict's text is read again.
        F.when(F.size("reasons") > 0, F.substring("record", 1, KEPT_OF_TOO_LARGE)).alias("record"),
    )  # fmt: skip


def key(name: str | Column) -> Column:
    """The key by which names match."""
    lowered = F.lower(name)
    bare = F.regexp_replace(F.replace(lowered, F.lit("&"), F.lit("and")), r"[\s\p{P}\p{Z}\p{C}]+", "")
    return F.coalesce(F.nullif(bare, F.lit("")), lowered)


class Catalogue:
    """The applications' names, and what is documented of them."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        def table(*names: str) -> DataFrame:
            return spark.read.csv([str(folder / f"{name}.csv") for name in names], header=True)

        known = table("application")
        self.own = known.select(F.col("slug").alias("feed"), F.col("application").alias("own"))
        alias = F.explode(F.split("aliases", ";"))
        names = (
            known.select("application", F.col("application").alias("name"), F.lit(1).alias("precedence"))
            .union(known.select("application", alias, F.lit(2)))
            .union(known.select("application", "display_name", F.lit(3)))
            .union(known.select("application", "slug", F.lit(4)))
        )
        self.names = (
            names.where(F.trim("name") != "")
            .groupBy(key(F.trim("name")).alias("name_key"))
            .agg(F.min_by("application", "precedence").alias("known"))
        )
        self.documented = (
            table("entity_activity", "own_activity")
            .select(*(key(name).alias(f"{name}_key") for name in ("application", "entity", "activity")))
            .where("activity_key is not null").distinct().withColumn("is_documented", F.lit(True))
        )  # fmt: skip


def named(frame: DataFrame, catalogue: Catalogue) -> DataFrame:
    """With the application in the catalogue's spelling; names are few, and looked up once for each."""
    sent = frame.where("application is not null").select("application").distinct()
    spelling = sent.join(F.broadcast(catalogue.names), key("application") == F.col("name_key"), "left").select(
        "application", "known"
    )
    return (
        frame.join(F.broadcast(spelling), "application", "left")
        .join(F.broadcast(catalogue.own), "feed")
        .withColumn("application", F.coalesce("known", "application", "own"))
        .withColumn("is_foreign", F.col("application") != F.col("own"))
    )


def later(valid: DataFrame) -> DataFrame:
    """The places of all valid records of an event id after its first, and whether they are the same as that."""
    ids = valid.groupBy("event_id").count().where("count > 1").select("event_id")
    contested = valid.join(F.broadcast(ids), "event_id", "left_semi")
    window = Window.partitionBy("event_id").orderBy("feed_hour", "feed", *PLACE)
    first = F.first(F.struct(*FACT[1:])).over(window)
    turn = F.row_number().over(window)
    return (
        contested.select(*PLACE, F.struct(*FACT[1:]).eqNullSafe(first).alias("is_same"), turn.alias("turn"))
        .where("turn > 1")
        .drop("turn")
    )


def main() -> None:
    """Parse into scratch, then judge what stands there, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("feeds", "catalogue", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    scratch = options.out / "scratch"
    spark = session(scratch)
    spark.sparkContext.setLogLevel("ERROR")
    catalogue = Catalogue(spark, options.catalogue)
    records = lines(spark, options.feeds)
    parsed(records).write.parquet(str(scratch / "parsed"))
    frame = spark.read.parquet(str(scratch / "parsed"))
    valid = named(frame.where(F.size("reasons") == 0), catalogue)
    later(valid).write.parquet(str(scratch / "later"))
    repeated = spark.read.parquet(str(scratch / "later"))
    kinds = (
        valid.select("application", "entity", "activity").distinct()
        .withColumns({f"{name}_key": key(name) for name in ("application", "entity", "activity")})
        .join(F.broadcast(catalogue.documented), ["application_key", "entity_key", "activity_key"], "left")
        .select("application", "entity", "activity", F.coalesce("is_documented", F.lit(False)).alias("is_documented"))
    )  # fmt: skip
    observed, refused = Observation(), Observation()
    events = (
        valid.join(F.broadcast(repeated), PLACE, "left_anti")
        .join(F.broadcast(kinds), ["application", "entity", "activity"])
        .observe(
            observed,
            F.count("*").alias("accepted"),
            F.count_if("has_offset").alias("offset_normalised"),
            F.count_if("is_foreign").alias("foreign_application"),
            F.count_if(~F.col("is_documented")).alias("undocumented"),
        )
    )
    events.select(*FACT, "is_documented").write.parquet(str(options.out / "fact"))
    conflicts = repeated.where("not is_same")
    conflicting = records.join(F.broadcast(conflicts), PLACE, "left_semi")
    columns = ["feed", *PLACE, "record"]
    quarantine = frame.where(F.size("reasons") > 0).select(*columns, "reasons")
    if not conflicts.isEmpty():
        quarantine = quarantine.union(
            conflicting.select(*columns, F.array(F.lit("event_id_conflict")).alias("reasons"))
        )
    quarantine.observe(refused, F.count("*").alias("quarantined")).coalesce(1).write.parquet(
        str(options.out / "quarantine")
    )
    counts = {**observed.get, **refused.get}
    counts["conflict"] = conflicts.count()
    counts["duplicate"] = repeated.count() - counts["conflict"]
    counts["received"] = counts["accepted"] + counts["duplicate"] + counts["quarantined"]
    (options.out / "counts.json").write_text(json.dumps(counts))
    spark.stop()


if __name__ == "__main__":
    main()
