"""How long the report's questions take on a long history: 95th percentiles, warm, of one reader and of 20 at once.

    python -m benchmarks.history --home DIR && python -m benchmarks.report --home DIR [--slow] [--rows 10000000]

Every question is about another month and application, or another place in everything, so that nothing is answered
from what was asked before. The 20 ask one question after the other without a pause, of all kinds at once. `CPU` is
what one question takes of a processor in the middle, which other programs on the machine disturb least.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from activity_audit.base.hours import aware
from activity_audit.report.queries import charts, coverage, cross, events, groups, lists, measures
from activity_audit.report.queries.rollups import HOURLY, KIND
from activity_audit.report.queries.warehouse import Query, Warehouse
from activity_audit.settings.core import load_settings
from activity_audit.warehouse.events.filters import Filters
from benchmarks import report_server
from benchmarks.measure import Figure, add_json_option, heading, p95, write_figures

Question = Callable[[Query, Filters, random.Random], object]
_MONTH = timedelta(days=30)


def first_page(query: Query, filters: Filters, _: random.Random) -> object:
    """What is shown first."""
    return events.page(query, filters, events.Order())


def next_page(query: Query, filters: Filters, chosen: random.Random) -> object:
    """What scrolling asks for, somewhere in the period."""
    moment = filters.start + chosen.random() * (filters.end - filters.start)
    return events.page(query, filters, events.Order(), after=(moment.replace(tzinfo=None), ""))


def jump(query: Query, filters: Filters, chosen: random.Random) -> object:
    """What a scrollbar asks for that is dragged."""
    index = chosen.randrange(max(1, events.count(query, filters)))
    return events.page_at(query, filters, index)


def filter_lists(query: Query, filters: Filters, _: random.Random) -> object:
    """The lists of applications, entities, activities, outcomes and people, one after the other."""
    return [
        lists.values(query, filters, field)
        for field in ("application", "entity", "activity", "outcome", "triggered_by")
    ]


def group(query: Query, filters: Filters, _: random.Random) -> object:
    """Entities, then the activities of the largest of them."""
    fields = ("entity", "activity")
    found = groups.groups(query, filters, fields)
    return groups.groups(query, filters, fields, (found[0].value,)) if found else None


def group_people(query: Query, filters: Filters, _: random.Random) -> object:
    """Who did most."""
    return groups.groups(query, filters, ("triggered_by",))


def group_hours(query: Query, filters: Filters, _: random.Random) -> object:
    """Every hour of the period, with the period before."""
    before = measures.the_period_before(filters)
    return groups.ranked(query, filters, "hour", groups.GroupOrder("value", descending=False), before=before)


def group_days_people(query: Query, filters: Filters, _: random.Random) -> object:
    """Days with their different people, and how much of them was looked at."""
    found = groups.ranked(query, filters, "day", groups.GroupOrder("people"), people=True)
    return found, coverage.looked_by(query, filters, ("day",))


def heat_map(query: Query, filters: Filters, _: random.Random) -> object:
    """Weekdays by hours of the day."""
    return cross.cross(query, filters, ("weekday", "hour_of_day")), coverage.looked_by(
        query, filters, ("weekday", "hour_of_day")
    )


def cross_table(query: Query, filters: Filters, _: random.Random) -> object:
    """Activities by entities."""
    return cross.cross(query, filters, ("activity", "entity"))


def pictures(query: Query, filters: Filters, _: random.Random) -> object:
    """All four pictures."""
    over_time = charts.over_time(query, filters)
    return over_time, [charts.top(query, filters, field) for field in ("entity", "activity", "triggered_by")]


def sort_by_entity(query: Query, filters: Filters, _: random.Random) -> object:
    """The first page in another order that is counted."""
    return events.page(query, filters, events.Order("entity", False))


QUESTIONS: dict[str, Question] = {
    "first page": first_page,
    "scroll": next_page,
    "jump": jump,
    "five filter lists": filter_lists,
    "group, two levels": group,
    "group by people": group_people,
    "group by hour, with before": group_hours,
    "group by day, with people": group_days_people,
    "heat map of the week": heat_map,
    "cross table": cross_table,
    "four pictures": pictures,
    "sort by entity": sort_by_entity,
}
# Those that have to read every event that the filters keep; one reader asks them, for the record.
SLOW: dict[str, Question] = {
    "sort by event id": lambda query, filters, _: events.page(query, filters, events.Order("event_id", False)),
    "sort by instance": lambda query, filters, _: events.page(query, filters, events.Order("instance", False)),
    "list of instances": lambda query, filters, _: lists.values(query, filters, "instance"),
    "people of each activity": lambda query, filters, _: groups.ranked(query, filters, "activity", people=True),
    "a rare word in comments": lambda query, filters, _: events.page(
        query, replace(filters, comments="no such word"), events.Order()
    ),
    "a search of all columns": lambda query, filters, _: events.page(
        query, replace(filters, search="no such word"), events.Order()
    ),
    "one event by its id": lambda query, filters, _: events.page(
        query, replace(filters, event_ids=("7fffffff-0000-4000-8000-000000000000",)), events.Order()
    ),
}


class Bench:
    """A warehouse, its extent, and the questions' times."""

    def __init__(self, home: Path) -> None:
        self.warehouse = Warehouse(load_settings(home=home), remembered=0)
        started = time.perf_counter()
        with self.warehouse.query() as query:
            self.attached = time.perf_counter() - started
            begins, ends, self.events = query.rows(f"select min(begins), max(begins), sum(n) from {HOURLY}")[0]
            rows = query.rows(f"select application from {KIND} group by 1 order by 1")
        self.applications = [application for (application,) in rows]
        self.whole = Filters(aware(begins), aware(ends) + timedelta(hours=1))
        while not self._is_prepared():
            time.sleep(0.2)
        self.prepared = time.perf_counter() - started

    def ask(self, question: Question, scope: str, chosen: random.Random) -> float:
        """The seconds of one question, the connection's included."""
        filters = self.whole if scope == "everything" else self._month(chosen)
        started = time.perf_counter()
        with self.warehouse.query(timeout=600) as query:
            question(query, filters, chosen)
        return time.perf_counter() - started

    def alone(self, question: Question, scope: str, times: int) -> tuple[float, float]:
        """The 95th percentile and the median CPU seconds of one reader's questions."""
        chosen = random.Random(1)
        for _ in range(max(1, times // 5)):
            self.ask(question, scope, chosen)
        walls, cpus = [], []
        for _ in range(times):
            cpu = time.process_time()
            walls.append(self.ask(question, scope, chosen))
            cpus.append(time.process_time() - cpu)
        return p95(walls), statistics.median(cpus)

    def together(self, scope: str, readers: int, rounds: int) -> tuple[dict[str, float], float]:
        """The 95th percentiles when so many readers ask at once, each all the questions in an order of its own.

        And the CPU seconds of a question on average.
        """
        times: dict[str, list[float]] = defaultdict(list)

        def read(number: int) -> None:
            chosen = random.Random(number)
            for _ in range(rounds):
                for name in chosen.sample(sorted(QUESTIONS), len(QUESTIONS)):
                    times[name].append(self.ask(QUESTIONS[name], scope, chosen))

        cpu = time.process_time()
        with ThreadPoolExecutor(readers) as pool:
            list(pool.map(read, range(readers)))
        each = (time.process_time() - cpu) / sum(map(len, times.values()))
        return {name: p95(walls) for name, walls in times.items()}, each

    def _month(self, chosen: random.Random) -> Filters:
        days = max(0, (self.whole.end - self.whole.start - _MONTH).days)
        start = self.whole.start + timedelta(days=chosen.randint(0, days))
        return Filters(start, min(start + _MONTH, self.whole.end), applications=(chosen.choice(self.applications),))

    def _is_prepared(self) -> bool:
        with self.warehouse.query() as query:
            return query.is_prepared


def questions(bench: Bench, options: argparse.Namespace) -> Iterator[Figure]:
    """Ask them all, print a table of milliseconds, and say each figure."""
    for scope in ("a month of one application", "everything"):
        print(f"\n{scope:28}{'p95 ms':>10}{'CPU ms':>10}{f'p95 of {options.readers}':>12}")
        crowd, each = bench.together(scope, options.readers, 3)
        for name, question in QUESTIONS.items():
            wall, cpu = bench.alone(question, scope, options.times)
            print(f"{name:28}{wall * 1000:10.0f}{cpu * 1000:10.0f}{crowd[name] * 1000:12.0f}", flush=True)
            yield Figure(f"{scope}, {name}, p95", round(wall * 1000, 1), "ms")
            yield Figure(f"{scope}, {name}, CPU", round(cpu * 1000, 1), "ms")
            yield Figure(f"{scope}, {name}, p95 of {options.readers}", round(crowd[name] * 1000, 1), "ms")
        print(f"{'on average of all readers':28}{each * 1000:20.0f}")
        yield Figure(f"{scope}, CPU on average of {options.readers}", round(each * 1000, 1), "ms")
        for name, question in SLOW.items() if options.slow else ():
            wall, cpu = bench.alone(question, scope, 4)
            print(f"{name:28}{wall * 1000:10.0f}{cpu * 1000:10.0f}", flush=True)
            yield Figure(f"{scope}, {name}, p95", round(wall * 1000, 1), "ms")
            yield Figure(f"{scope}, {name}, CPU", round(cpu * 1000, 1), "ms")


def served_and_exported(options: argparse.Namespace) -> Iterator[Figure]:
    """Whole pages from a server, and exports of about a tenth and all of `--rows`."""
    history = report_server.history(options.home)
    periods = [(f"{rows:,} rows", *history.newest(rows)) for rows in (options.rows // 10, options.rows)]
    yield from report_server.exports(history, periods)
    with report_server.served(history) as server:
        yield from report_server.pages(server, history, options.readers, options.times)
        yield from report_server.web_exports(server, history, periods)


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--slow", action="store_true", help="also ask what reads every event")
    parser.add_argument("--rows", type=int, metavar="N", help="also measure a server, and exports of so many rows")
    add_json_option(parser)
    options = parser.parse_args()
    print(heading(options.home))
    figures = []
    # What a child process takes at most begins with what this one has; so this one has nothing yet.
    for figure in served_and_exported(options) if options.rows else ():
        print(f"{figure.name:70}{figure.value:>14,} {figure.unit}", flush=True)
        figures.append(figure)
    bench = Bench(options.home)
    print(f"{bench.events:,} events, attached in {bench.attached:.1f} s, prepared after {bench.prepared:.1f} s")
    figures += [Figure("attach", round(bench.attached, 1), "s"), Figure("prepare", round(bench.prepared, 1), "s")]
    figures += questions(bench, options)
    bench.warehouse.close()
    write_figures(options.json, figures)


if __name__ == "__main__":
    main()
