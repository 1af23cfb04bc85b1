"""Feeds of a bulk load, made by DuckDB: ten million events in minutes, where the simulator takes an hour.

Every feed has one file an hour, NDJSON, gzipped NDJSON or CSV, and a manifest. Of the records 2 % are late, 1 % are
repeated and 0.5 % are bad, each in one of five ways. The same number gives the same records.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from activity_audit.base.catalogue import DBT_PROJECT_DIR
from activity_audit.base.hours import HOUR, HOUR_FOLDER

END = datetime(2026, 5, 8, tzinfo=UTC)
FORMATS = {"ndjson": "events.ndjson", "gz": "events.ndjson.gz", "csv": "events.csv"}
_HEADER = "application,entity,activity,eventTime,eventId,triggeredBy,instance,outcome,comments\n"
# So many records are made at a time.
_SLICE = 500_000
_GZIP_LEVEL = 5

_TABLES = """
create table feed as
select slug, application, row_number() over (order by slug) - 1 as n from read_csv('{seeds}/application.csv')
where slug not in ('activity_audit', 'unattributed');
create table kind as
select application, entity, activity, row_number() over (partition by application order by entity, activity) - 1 as n,
    count(*) over (partition by application) as of_application
from read_csv('{seeds}/entity_activity.csv');
create table person as
select row_number() over () - 1 as n, given || '.' || family || '@classics.example' as name from
(select unnest(['clarissa', 'elizabeth', 'emma', 'zoë', 'jane', 'philip', 'gabriel', 'anna', 'stephen', 'dorothea'])
as given) cross join
(select unnest(['dalloway', 'bennet', 'müller', 'dedalus', 'oak', 'ramsay', 'bloom', 'brooke', 'casaubon', 'eyre'])
as family);
"""
# A repeated record is the one before it, again in the file of that one; `u` is what its fields are drawn from.
_EVENTS = """
with number as (
    select i, case when hash(i, 1) % 100 = 0 and i % {per_hour} > 0 then i - 1 else i end as u
    from range({start}, {end}) r(i)
),
drawn as (
    select i, u, u // {per_hour} as hour, feed.slug, feed.application, hash(u, 4) % 640 as flaw,
        timestamp '{first}' + to_hours(u // {per_hour}) as feed_hour,
        person.name, hash(u, 2) as h, hash(u, 3) as g
    from number
    inner join feed on least((hash(u, 5) % 1000 / 1000.0) ** 2 * {feeds}, {feeds} - 1)::int = feed.n
    inner join person on hash(u, 6) % 100 = person.n
),
event as (
    select drawn.*, coalesce(kind.entity, 'Item') as entity, coalesce(kind.activity, 'Update') as activity,
        strftime(
            feed_hour + to_milliseconds((u % {per_hour}) * 3600000 // {per_hour})
            - case when g % 50 = 0 then to_minutes(60 + (h % 1440)::bigint) else to_minutes(0) end,
            '%Y-%m-%dT%H:%M:%S.%gZ'
        ) as time,
        md5(u::varchar) as id, md5((h % 50000)::varchar) as instance_id,
        if(h % 20 = 0, 'FAILURE', 'SUCCESS') as outcome,
        case when h % 10 = 3 then 'changed by rule ' || (h % 997) else '' end as comments
    from drawn
    left join (select application, max(of_application) as kinds from kind group by 1) as size using (application)
    left join kind on kind.application = drawn.application and kind.n = h % size.kinds
),
flawed as (
    select i, slug, hour, flaw, application, entity, activity,
        case flaw when 1 then replace(time, 'Z', '') when 2 then 'n/a' else time end as time,
        if(flaw <> 3 or g % 2 = 1, concat_ws('-', id[:8], id[9:12], id[13:16], id[17:20], id[21:]), '')
            as event_id,
        name,
        concat_ws('-', instance_id[:8], instance_id[9:12], instance_id[13:16], instance_id[17:20], instance_id[21:])
            as instance,
        case when flaw = 3 and g % 2 = 1 then 'PARTIAL' else outcome end as outcome, comments, g
    from event
)
select slug, hour,
    string_agg(case when flaw = 0 and g % 5 < 1 then left({line}, 40) else {line} end, chr(10) order by i), count(*)
from flawed group by all
"""
_JSON_LINE = """concat('{{"application":"', application, '","entity":"', entity, '","activity":"', activity,
    '","eventTime":"', time, '","eventId":"', event_id, '","triggeredBy":"', name, '","instance":"', instance,
    '","outcome":"', outcome, '","comments":"', comments, '"}}')"""
_CSV_LINE = """concat_ws(',', '"' || application || '"', '"' || entity || '"', '"' || activity || '"', time, event_id,
    name, instance, outcome, comments)"""
# So many events an hour where a benchmark is not told how many hours there are.
EVENTS_AN_HOUR = 18_000


def make_feeds(folder: Path, events: int, hours: int, kind: str, part: range | None = None) -> int:
    """Write `events` records of `hours` hours before `END` below `folder`, in a format of `FORMATS`.

    With `part`, only these of the hours, counted from the first; parts that together are all have the same records.
    Returns the bytes of the feed files, manifests not counted.
    """
    first = END - hours * HOUR
    per_hour = max(1, events // hours)
    wanted = part or range(hours)
    size = 0
    with duckdb.connect() as connection, ThreadPoolExecutor(2) as pool:
        connection.execute(_TABLES.format(seeds=DBT_PROJECT_DIR / "seeds"))
        feeds = connection.execute("select count(*) from feed").fetchall()[0][0]
        line = (_CSV_LINE if kind == "csv" else _JSON_LINE).format()
        step = max(1, _SLICE // per_hour) * per_hour
        for start in range(per_hour * wanted.start, per_hour * wanted.stop, step):
            found = connection.execute(
                _EVENTS.format(
                    start=start, end=min(start + step, per_hour * wanted.stop), per_hour=per_hour, feeds=feeds,
                    line=line, first=f"{first:%Y-%m-%d %H:%M:%S}",
                )
            ).fetchall()  # fmt: skip
            size += sum(
                pool.map(lambda row: _write(folder / row[0], first + timedelta(hours=row[1]), kind, *row[2:]), found)
            )
    return size


def _write(feed: Path, hour: datetime, kind: str, text: str, records: int) -> int:
    content = ((_HEADER if kind == "csv" else "") + text + "\n").encode()
    if kind == "gz":
        content = gzip.compress(content, _GZIP_LEVEL, mtime=0)
    target = feed / f"{hour:{HOUR_FOLDER}}"
    target.mkdir(parents=True)
    (target / FORMATS[kind]).write_bytes(content)
    entry = {"name": FORMATS[kind], "records": records, "sha256": hashlib.sha256(content).hexdigest()}
    (target / "_manifest.json").write_text(json.dumps({"files": [entry]}), encoding="utf-8")
    return len(content)
