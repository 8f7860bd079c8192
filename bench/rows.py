"""Defines the rows of the table: the compared cases, and the bounds of their ratios."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from bench.libraries import OTHER_PYTHON, READER, RUST_SENDING, SELF_CONTAINED
from bench.workloads import THREAD

Raw: TypeAlias = dict[str, Any]
"""The host's JSON report of one measurement."""


@dataclass(frozen=True)
class Scale:
    """The length of a run: rounds, seconds a case, the file, and the events of the row `steady`."""

    rounds: int
    seconds: float
    file: str
    many: int
    patience: float
    """The most seconds that the whole run waits for other processes to pause."""


FIELD_EVENTS = 128
TO_THE_END = 10**12

FULL = Scale(rounds=5, seconds=1, file="file", many=10**8, patience=300)
QUICK = Scale(rounds=3, seconds=0.2, file="file-small", many=10**7, patience=20)


@dataclass(frozen=True)
class Case:
    """One measurement: a library and its open params, configuration and fields."""

    title: str
    library: str
    mode: str = ""
    workload: str = ""
    config: str = ""
    fields: tuple[str, ...] = ()
    live: bool = False
    threads: int | None = None
    """The number of threads of the host that extract fields at the same time, each with its own state of the plugin."""
    limit: int | None = None
    """Ends after this number of events instead of after a time."""
    others: tuple[str, ...] = ()
    """Further libraries that are loaded after this one."""
    contents: str = ""
    """JSON with the contents of the host's tables."""
    is_scap: bool = False
    """Whether the workload is a capture file whose events the plugin parses."""
    times: int = 1
    """The factor by which this case takes longer than others."""


@dataclass(frozen=True)
class Metric:
    """The quantity, in nanoseconds, by which two cases are compared."""

    read: Callable[[Raw], float]
    per_event: bool
    """Whether the quantity is that of one event, so that throughput applies; otherwise of fields."""
    cpu: Callable[[Raw], float] | None = None
    """The processor time of all threads for the same work, or None if it is not measured."""


def _event_cpu(raw: Raw) -> float:
    return float(raw["events"]["cpu_ns"] / raw["events"]["count"])


def _of_threads(member: str) -> Callable[[Raw], float]:
    """Returns how to read the nanoseconds of one extraction, out of those of all threads together."""

    def read(raw: Raw) -> float:
        (column,) = raw["threads"]
        return float(column[member] / sum(column["counts"]))

    return read


EVENT = Metric(lambda raw: raw["events"]["per_event"]["median_ns"], per_event=True, cpu=_event_cpu)
SPAN = Metric(lambda raw: raw["events"]["wall_ns"] / raw["events"]["count"], per_event=True, cpu=_event_cpu)
FIRST = Metric(lambda raw: raw["fields"]["columns"][0]["first"]["median_ns"], per_event=False)
AGAIN = Metric(lambda raw: raw["fields"]["columns"][0]["again"]["median_ns"], per_event=False)
TOGETHER = Metric(lambda raw: raw["fields"]["together"]["median_ns"], per_event=False)
METRICS = Metric(lambda raw: raw["metrics"]["each"]["median_ns"], per_event=False)
PARSE = Metric(lambda raw: raw["parse"]["median_ns"], per_event=False)
THREADS = Metric(_of_threads("wall_ns"), per_event=False, cpu=_of_threads("cpu_ns"))


@dataclass(frozen=True)
class Comparison:
    """A case to compare with. `at_most` is the largest allowed ratio, or None if the ratio is only reported."""

    case: Case
    at_most: float | None = None
    at_least: float = 0


@dataclass(frozen=True)
class Limit:
    """An absolute bound of one quantity, independent of the peers."""

    title: str
    unit: str
    read: Callable[[Raw], float]
    at_most: float = float("inf")
    at_least: float = 0


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    ours: Case
    against: tuple[Comparison, ...] = ()
    metric: Metric = EVENT
    limits: tuple[Limit, ...] = ()
    unlimited: tuple[Case, ...] = ()
    """Cases whose quantities are reported beside those of `ours`, without bounds."""

    def beside_self_contained(self) -> Row:
        """Returns the row with a comparison with a self-contained library of the same plugin."""
        other = replace(self.ours, title="self-contained", library=SELF_CONTAINED)
        # The self-contained library has the plugin of `ours`.
        is_compared = bool(self.against) and self.ours.library == "ours"
        return replace(self, against=(*self.against, Comparison(other))) if is_compared else self

    def beside_other_python(self, version: str) -> Row:
        """Returns the row with a comparison of each case of `ours` with the same case in another Python."""

        def with_other(case: Case) -> Case:
            title = version if case is self.ours else f"{version}, {case.title}"
            return replace(case, title=title, library=OTHER_PYTHON)

        others = [with_other(case) for case in self.cases() if case.library == "ours"]
        if not self.against:
            return replace(self, unlimited=tuple(others))
        return replace(self, against=(*self.against, *map(Comparison, others)))

    def cases(self) -> list[Case]:
        return [self.ours, *(against.case for against in self.against), *self.unlimited]


class UnknownRowError(Exception):
    """A name selects no row; the message lists the existing names."""


def select(rows: Sequence[Row], names: Collection[str], peers: Collection[str]) -> list[Row]:
    """Returns the rows whose name starts with one of `names` (all if empty), compared only with `peers`."""
    for name in names:
        if not any(row.name.startswith(name) for row in rows):
            raise UnknownRowError(f"no row starts with {name!r}: choose from {', '.join(r.name for r in rows)}")
    chosen = [row for row in rows if not names or row.name.startswith(tuple(names))]
    # The Rust SDK has two libraries, because one that sends async events only can have no source.
    kept = {*(row.ours.library for row in rows), *peers, *([RUST_SENDING] if "rust" in peers else ())}
    chosen = [replace(row, against=tuple(one for one in row.against if one.case.library in kept)) for row in chosen]
    return [row for row in chosen if row.against or row.limits]


_THREADS = json.dumps({"threads": [{"tid": number, "comm": "bash", "pid": 42} for number in range(-1, 999)]})
"""A table of 1,000 threads. The events of plugins belong to the thread -1."""

_CALLER = json.dumps({"threads": [{"tid": THREAD, "comm": "python3"}]})
"""A table of the one thread that makes the system calls."""

_MEMORY = "memory over a bare interpreter, `python -I -S`"

_TWENTY = (
    "audit.id",
    "audit.stage",
    "audit.uri",
    "audit.verb",
    "audit.user.name",
    "audit.user.uid",
    "audit.user.group",
    "audit.source",
    "audit.useragent",
    "audit.target.resource",
    "audit.target.namespace",
    "audit.target.name",
    "audit.response.code",
    "audit.label.app",
    "audit.account",
    "audit.container.name",
    "audit.container.image",
    "audit.container.port",
    "audit.received",
    "audit.decision",
)


def table(scale: Scale) -> list[Row]:
    """Returns all rows."""

    def baseline(workload: str) -> Case:
        return Case("C", "c", "batch", workload)

    def go(mode: str, workload: str) -> Case:
        titles = {"pull": "Go pull", "push128": "Go, channel of 128", "push0": "Go, unbuffered channel"}
        return Case(titles[mode.partition("-")[0]], "golang", mode, workload)

    def rust(mode: str, workload: str) -> Case:
        titles = {"batch": "Rust batch", "channel": "Rust, channel of 128"}
        return Case(titles[mode.partition("-")[0]], "rust", mode, workload)

    def ours(mode: str, workload: str = "") -> Case:
        return Case("ours", "ours", mode, workload)

    def threads_row(name: str, title: str, number: int, workload: str) -> Row:
        """Returns a row of threads that send, each through its own sender of one channel."""
        against = (
            Comparison(replace(ours("send", workload), title="one thread")),
            Comparison(rust(f"channel-{number}", workload)),
            Comparison(go(f"push128-{number}", workload)),
        )
        return Row(f"{name}-{number}-threads", f"{number} threads {title}", ours(f"send-{number}", workload), against)

    def reading(case: Case, title: str, fields: Sequence[str], config: str = "") -> Case:
        return replace(case, title=title, fields=tuple(fields), config=config, limit=FIELD_EVENTS)

    def field_row(
        name: str,
        title: str,
        workload: str,
        fields: Sequence[str],
        metric: Metric,
        go_bound: float,
        rust_bound: float | None = None,
    ) -> Row:
        against = [
            Comparison(reading(go("pull", workload), "Go, worker off", fields), go_bound),
            Comparison(reading(go("pull", workload), "Go, worker on", fields, "worker")),
        ]
        if rust_bound is not None:
            against.append(Comparison(reading(rust("batch", workload), "Rust", fields), rust_bound))
        return Row(name, title, reading(ours("extend", workload), "ours", fields), tuple(against), metric)

    def field_threads_row(name: str, title: str, field: str) -> Row:
        """Returns a row of two threads of the host that extract a field at the same time."""

        def on_threads(case: Case, title: str, threads: int = 2) -> Case:
            return replace(reading(case, title, [field]), threads=threads)

        source = ours("extend", "log300")
        against = (
            Comparison(on_threads(source, "one thread", 1)),
            Comparison(on_threads(go("pull", "log300"), "Go, worker off")),
            Comparison(on_threads(rust("batch", "log300"), "Rust")),
        )
        return Row(f"{name}-2-threads", title, on_threads(source, "ours"), against, THREADS)

    def table_row(name: str, title: str, field: str, bound: float, **options: Any) -> Row:
        """Returns a row of a field that is read from a table: by this SDK, or out of a table that it owns."""

        def with_table(case: Case, title: str, field: str = field) -> Case:
            return replace(reading(case, title, [field]), **options)

        tables = Case("ours", "tables", "extend", "empty")
        peer = with_table(rust("batch", "empty"), "Rust")
        method = (with_table(tables, "a method in Python", "table.method"),) if field == "table.comm" else ()
        return Row(name, title, with_table(tables, "ours"), (Comparison(peer, bound),), FIRST, unlimited=method)

    def parsing(title: str, library: str, workload: str) -> Case:
        return Case(title, library, workload=workload, is_scap=True, contents=_CALLER)

    def rule_row(name: str, title: str, mode: str) -> Row:
        """Returns a row of events that the host takes while a rule reads a field of each."""

        def ruled(case: Case, title: str) -> Case:
            return replace(case, title=title, fields=("bench.const",), live=True)

        against = (
            Comparison(ruled(ours("pull", "log300"), "pull function"), 1.5),
            Comparison(ruled(go("pull", "log300"), "Go, worker off")),
            Comparison(ruled(rust("channel", "log300"), "Rust, channel of 128")),
        )
        return Row(name, title, ruled(ours(mode, "log300"), "ours"), against, SPAN)

    field_limits = (
        Limit("p99", "ms", lambda raw: raw["live"][0]["latency"]["p99_ns"] / 1e6, at_most=2),
        Limit("rate", "/s", lambda raw: raw["events"]["count"] / raw["events"]["wall_ns"] * 1e9, at_least=1500),
    )
    rows = [
        Row(
            "pull-empty",
            "pull function, nothing written",
            ours("pull", "empty"),
            (Comparison(go("pull", "empty"), 0.55), Comparison(baseline("empty"))),
        ),
        Row("pull-300", "pull function, one write, 300 B", ours("pull", "log300"), (Comparison(go("pull", "log300")),)),
        Row(
            "pull-1k",
            "pull function, one write, 1 KiB",
            ours("pull", "log1k"),
            (Comparison(go("pull", "log1k"), 0.13),),
        ),
        Row(
            "pull-random",
            "pull function, 1 KiB to 1.18 MiB",
            ours("pull", "random"),
            (
                Comparison(rust("batch", "random"), 0.7),
                Comparison(go("pull", "random")),
                Comparison(baseline("random")),
            ),
        ),
        Row(
            "push-generator-300",
            "generator returned by open, 300 B",
            ours("generator", "log300"),
            (Comparison(go("pull", "log300"), 0.35), Comparison(rust("channel", "log300"))),
        ),
        Row(
            "push-send-1k",
            "send one by one, 1 KiB",
            ours("send", "log1k"),
            (
                Comparison(rust("channel", "log1k"), 0.5),
                Comparison(go("push128", "log1k"), 0.1),
                Comparison(go("push0", "log1k")),
            ),
        ),
        Row(
            "push-send-cloudtrail",
            "send one by one, 1.2 KB",
            ours("send", "cloudtrail"),
            (Comparison(rust("channel", "cloudtrail")), Comparison(go("push128", "cloudtrail"))),
        ),
        Row(
            "push-send-many-1k",
            "send_many of 128, 1 KiB",
            ours("send_many", "log1k"),
            (Comparison(rust("batch", "log1k"), 1.5),),
        ),
        threads_row("push-send", "send one by one, 300 B", 2, "equal300"),
        threads_row("push-send", "send one by one, 300 B", 4, "equal300"),
        threads_row("push-encode", "encode JSON and send it, 300 B", 2, "encode300"),
        threads_row("push-encode", "encode JSON and send it, 300 B", 4, "encode300"),
        Row(
            "batch-300",
            "extend by a list of 128, 300 B",
            ours("extend", "log300"),
            (Comparison(rust("batch", "log300"), 1.5), Comparison(baseline("log300"))),
        ),
        Row(
            "batch-1k",
            "extend by a list of 128, 1 KiB",
            ours("extend", "log1k"),
            (Comparison(rust("batch", "log1k"), 1.1), Comparison(baseline("log1k"))),
        ),
        Row(
            "batch-cloudtrail",
            "extend by a list of 128, 1.2 KB",
            ours("extend", "cloudtrail"),
            (Comparison(rust("batch", "cloudtrail")), Comparison(baseline("cloudtrail"))),
        ),
        Row(
            "file",
            "lines of a file in the page cache, 1.2 KB",
            replace(ours("lines", scale.file), limit=TO_THE_END),
            (Comparison(replace(baseline(scale.file), limit=TO_THE_END), 1.3),),
            SPAN,
        ),
        field_row(
            "field-const",
            "method that returns a constant, first time on an event",
            "log300",
            ["bench.const"],
            FIRST,
            1.2,
        ),
        Row(
            "field-again",
            "the same field again on the same event",
            reading(ours("extend", "log300"), "ours", ["bench.const"]),
            (Comparison(reading(rust("batch", "log300"), "Rust", ["bench.const"]), 2.5),),
            AGAIN,
        ),
        field_row(
            "field-json-front",
            "json_field near the front of 300 B, first time",
            "log300",
            ["bench.level"],
            FIRST,
            0.25,
            0.4,
        ),
        field_row(
            "field-json-end", "json_field at the end of 300 B, first time", "log300", ["bench.last"], FIRST, 0.25, 0.4
        ),
        field_row(
            "field-json-twenty", "twenty json_fields of a 1.9 KB audit event, together", "audit", _TWENTY, TOGETHER, 0.4
        ),
        field_threads_row("field-const", "method that returns a constant, two host threads", "bench.const"),
        field_threads_row("field-json-front", "json_field near the front, two host threads", "bench.level"),
        Row(
            "parse",
            "method that parses execve: reads one parameter, writes one field of a table",
            parsing("ours", "parsing", "execve"),
            (Comparison(parsing("Rust", "rust", "execve")),),
            PARSE,
            (Limit("parse_event", "ns", PARSE.read, at_most=600),),
        ),
        Row(
            "parse-other",
            "event of a source that no method asked for",
            parsing("ours", "parsing", "close"),
            metric=PARSE,
            limits=(Limit("parse_event", "ns", PARSE.read, at_most=20),),
        ),
        Row(
            "async-event",
            "async event of a generator, 300 B, to the handler of the host",
            Case("ours", "sending"),
            (
                Comparison(Case("Rust", RUST_SENDING)),
                Comparison(replace(ours("generator", "log300"), title="generator to the channel"), 1.5),
            ),
        ),
        rule_row("rule-generator", "generator, and a Python field of each event, 300 B", "generator"),
        rule_row("rule-send", "send one by one, and a Python field of each event, 300 B", "send"),
        Row(
            "latency-field-generator",
            "Python field while a generator computes",
            replace(ours("busy"), fields=("bench.const",), live=True, times=5),
            limits=field_limits,
        ),
        Row(
            "latency-field-thread",
            "Python field while a thread computes and never sends",
            replace(ours("beside", "file-small"), fields=("bench.const",), live=True, times=5),
            limits=field_limits,
        ),
        Row(
            "latency-send",
            "send to host, one at a time, 1,000 a second",
            replace(ours("live"), times=5),
            limits=(
                Limit("p50", "us", lambda raw: raw["latency"]["age"]["p50_ns"] / 1e3, at_most=100),
                Limit("p99", "us", lambda raw: raw["latency"]["age"]["p99_ns"] / 1e3, at_most=1000),
            ),
        ),
        table_row("table-string", "`table_field`: a string of the event's thread", "table.comm", 2, contents=_THREADS),
        table_row("table-number", "`table_field`: a number of the event's thread", "table.pid", 2, contents=_THREADS),
        table_row(
            "table-read-string", "a string of an own table, read by a plugin in C", "reader.user", 1.5, others=(READER,)
        ),
        table_row(
            "table-read-number",
            "a number of an own table, read by a plugin in C",
            "reader.requests",
            1.5,
            others=(READER,),
        ),
        Row(
            "latency-idle",
            "a source without events, timeout 30 ms",
            replace(ours("idle"), times=5),
            limits=(
                Limit("next_batch, p99", "ms", lambda raw: raw["latency"]["timeout"]["p99_ns"] / 1e6, at_most=35),
                Limit("CPU", "% of a core", _cpu_percent, at_most=0.5),
                Limit(_MEMORY, "MB", _memory_over_bare, at_most=10),
            ),
        ),
        Row(
            "start",
            "the smallest plugin, warm disk",
            Case("ours", "smallest", limit=1),
            limits=(
                Limit("library read", "ms", lambda raw: raw["load_ns"] / 1e6, at_most=2),
                Limit("init to first event", "ms", lambda raw: raw["first_event_ns"] / 1e6, at_most=80),
            ),
        ),
        Row(
            "start-self-contained",
            "the smallest plugin in a self-contained library, warm disk",
            Case("ours", f"smallest-{SELF_CONTAINED}", limit=1),
            limits=(
                Limit("library read", "ms", lambda raw: raw["load_ns"] / 1e6, at_most=2),
                Limit("init to first event", "ms", lambda raw: raw["first_event_ns"] / 1e6, at_most=150),
                Limit(_MEMORY, "MB", _memory_over_bare),
            ),
        ),
        Row(
            "metrics",
            "metrics of a plugin, each",
            replace(ours("extend", "empty"), limit=FIELD_EVENTS),
            (Comparison(replace(rust("batch", "empty"), limit=FIELD_EVENTS)),),
            METRICS,
            (Limit("each metric", "ns", METRICS.read, at_most=200),),
        ),
        Row(
            "memory-burst",
            "128 x 1 MiB at one time, then 1,000 small batches",
            replace(ours("burst"), limit=TO_THE_END),
            limits=(Limit(_MEMORY, "MB", _memory_over_bare, at_most=14),),
        ),
        Row(
            "steady",
            f"generator, 300 B, {scale.many:,} events",
            replace(ours("generator", "log300"), limit=scale.many),
            (Comparison(replace(ours("generator", "log300"), title="1,000,000 events", limit=10**6), 1.1, 1 / 1.1),),
            SPAN,
        ),
    ]
    return [row.beside_self_contained() for row in rows]


def _cpu_percent(raw: Raw) -> float:
    return float(raw["events"]["cpu_ns"] / raw["events"]["wall_ns"] * 100)


def _memory_over_bare(raw: Raw) -> float:
    return float(raw["memory"]["end_kib"] - raw["bare_kib"]) * 1024 / 1e6
