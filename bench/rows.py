"""The rows of the table: what is compared with what, and what it must be at most."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Raw: TypeAlias = dict[str, Any]
"""What the host said of one measurement."""


@dataclass(frozen=True)
class Scale:
    """How long is measured."""

    rounds: int
    seconds: float
    file: str
    many: int
    patience: float
    """How many seconds are spent in all, at most, on waiting for other processes to pause."""


EVENTS_OF_FIELDS = 128
TO_THE_END = 10**12

FULL = Scale(rounds=5, seconds=1, file="file", many=10**8, patience=300)
QUICK = Scale(rounds=3, seconds=0.2, file="file-small", many=10**7, patience=20)


@dataclass(frozen=True)
class Case:
    """One measurement: a library, and what it has to do."""

    title: str
    library: str
    mode: str = ""
    work: str = ""
    config: str = ""
    fields: tuple[str, ...] = ()
    live: bool = False
    limit: int | None = None
    """Ends after so many events, instead of after a time."""
    times: int = 1
    """How many times as long as others."""


@dataclass(frozen=True)
class Metric:
    """What two cases are compared by: nanoseconds."""

    read: Callable[[Raw], float]
    of_events: bool
    """For one event, so that bytes and processor time belong to it; else for a field, or several."""


EVENT = Metric(lambda raw: raw["events"]["per_event"]["median_ns"], of_events=True)
SPAN = Metric(lambda raw: raw["events"]["wall_ns"] / raw["events"]["count"], of_events=True)
FIRST = Metric(lambda raw: raw["fields"]["columns"][0]["first"]["median_ns"], of_events=False)
AGAIN = Metric(lambda raw: raw["fields"]["columns"][0]["again"]["median_ns"], of_events=False)
TOGETHER = Metric(lambda raw: raw["fields"]["together"]["median_ns"], of_events=False)


@dataclass(frozen=True)
class Against:
    """A case to compare with; `at_most` is the largest ratio to it, None where it only tells."""

    case: Case
    at_most: float | None = None
    at_least: float = 0


@dataclass(frozen=True)
class Limit:
    """A number that has to stay within bounds whatever others do."""

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
    against: tuple[Against, ...] = ()
    metric: Metric = EVENT
    limits: tuple[Limit, ...] = ()

    def cases(self) -> list[Case]:
        return [self.ours, *(against.case for against in self.against)]


class UnknownRow(Exception):
    """A name that selects nothing, and those that there are."""


def select(rows: Sequence[Row], names: Collection[str], peers: Collection[str]) -> list[Row]:
    """The rows whose name is one of `names` or begins with one, or all without names, with these peers alone."""
    for name in names:
        if not any(row.name.startswith(name) for row in rows):
            raise UnknownRow(f"no row is called {name}, or begins with it; there are {', '.join(r.name for r in rows)}")
    chosen = [row for row in rows if not names or row.name.startswith(tuple(names))]
    own = {row.ours.library for row in rows}
    chosen = [
        replace(row, against=tuple(one for one in row.against if one.case.library in own.union(peers)))
        for row in chosen
    ]
    return [row for row in chosen if row.against or row.limits]


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
    """All rows."""

    def floor(work: str) -> Case:
        return Case("C", "c", "batch", work)

    def go(mode: str, work: str) -> Case:
        titles = {"pull": "Go pull", "push128": "Go, channel of 128", "push0": "Go, unbuffered channel"}
        return Case(titles[mode], "golang", mode, work)

    def rust(mode: str, work: str) -> Case:
        titles = {"batch": "Rust batch", "channel": "Rust, channel of 128"}
        return Case(titles[mode], "rust", mode, work)

    def ours(mode: str, work: str = "") -> Case:
        return Case("ours", "ours", mode, work)

    def reading(case: Case, title: str, fields: Sequence[str], config: str = "") -> Case:
        return replace(case, title=title, fields=tuple(fields), config=config, limit=EVENTS_OF_FIELDS)

    def field_row(
        name: str,
        title: str,
        work: str,
        fields: Sequence[str],
        metric: Metric,
        of_go: float,
        of_rust: float | None = None,
    ) -> Row:
        against = [
            Against(reading(go("pull", work), "Go, worker off", fields), of_go),
            Against(reading(go("pull", work), "Go, worker on", fields, "worker")),
        ]
        if of_rust is not None:
            against.append(Against(reading(rust("batch", work), "Rust", fields), of_rust))
        return Row(name, title, reading(ours("extend", work), "ours", fields), tuple(against), metric)

    field_limits = (
        Limit("p99", "ms", lambda raw: raw["live"][0]["latency"]["p99_ns"] / 1e6, at_most=2),
        Limit("rate", "/s", lambda raw: raw["events"]["count"] / raw["events"]["wall_ns"] * 1e9, at_least=1500),
    )
    return [
        Row(
            "pull-empty",
            "pull function, nothing written",
            ours("pull", "empty"),
            (Against(go("pull", "empty"), 0.55), Against(floor("empty"))),
        ),
        Row("pull-300", "pull function, one write, 300 B", ours("pull", "log300"), (Against(go("pull", "log300")),)),
        Row("pull-1k", "pull function, one write, 1 KiB", ours("pull", "log1k"), (Against(go("pull", "log1k"), 0.13),)),
        Row(
            "pull-random",
            "pull function, 1 KiB to 1.18 MiB",
            ours("pull", "random"),
            (Against(rust("batch", "random"), 0.7), Against(go("pull", "random")), Against(floor("random"))),
        ),
        Row(
            "push-generator-300",
            "generator returned by open, 300 B",
            ours("generator", "log300"),
            (Against(go("pull", "log300"), 0.35), Against(rust("channel", "log300"))),
        ),
        Row(
            "push-send-1k",
            "send one by one, 1 KiB",
            ours("send", "log1k"),
            (
                Against(rust("channel", "log1k"), 0.5),
                Against(go("push128", "log1k"), 0.1),
                Against(go("push0", "log1k")),
            ),
        ),
        Row(
            "push-send-cloudtrail",
            "send one by one, 1.2 KB",
            ours("send", "cloudtrail"),
            (Against(rust("channel", "cloudtrail")), Against(go("push128", "cloudtrail"))),
        ),
        Row(
            "push-send-many-1k",
            "send_many of 128, 1 KiB",
            ours("send_many", "log1k"),
            (Against(rust("batch", "log1k"), 1.5),),
        ),
        Row(
            "batch-300",
            "extend by a list of 128, 300 B",
            ours("extend", "log300"),
            (Against(rust("batch", "log300"), 1.5), Against(floor("log300"))),
        ),
        Row(
            "batch-1k",
            "extend by a list of 128, 1 KiB",
            ours("extend", "log1k"),
            (Against(rust("batch", "log1k"), 1.1), Against(floor("log1k"))),
        ),
        Row(
            "batch-cloudtrail",
            "extend by a list of 128, 1.2 KB",
            ours("extend", "cloudtrail"),
            (Against(rust("batch", "cloudtrail")), Against(floor("cloudtrail"))),
        ),
        Row(
            "file",
            "lines of a file in the page cache, 1.2 KB",
            replace(ours("lines", scale.file), limit=TO_THE_END),
            (Against(replace(floor(scale.file), limit=TO_THE_END), 1.3),),
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
            (Against(reading(rust("batch", "log300"), "Rust", ["bench.const"]), 2.5),),
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
        Row(
            "latency-field-generator",
            "Python field beside a generator that computes",
            replace(ours("busy"), fields=("bench.const",), live=True, times=5),
            limits=field_limits,
        ),
        Row(
            "latency-field-thread",
            "Python field beside a thread that computes and never sends",
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
        Row(
            "latency-idle",
            "a source that has nothing, timeout 30 ms",
            replace(ours("idle"), times=5),
            limits=(
                Limit("next_batch, p99", "ms", lambda raw: raw["latency"]["timeout"]["p99_ns"] / 1e6, at_most=35),
                Limit("CPU", "% of a core", _cpu_percent, at_most=0.5),
                Limit(_MEMORY, "MB", _over_bare, at_most=10),
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
            "memory-burst",
            "128 x 1 MiB at once, then 1,000 small batches",
            replace(ours("burst"), limit=TO_THE_END),
            limits=(Limit(_MEMORY, "MB", _over_bare, at_most=14),),
        ),
        Row(
            "steady",
            f"generator, 300 B, {scale.many:,} events",
            replace(ours("generator", "log300"), limit=scale.many),
            (Against(replace(ours("generator", "log300"), title="1,000,000 events", limit=10**6), 1.1, 1 / 1.1),),
            SPAN,
        ),
    ]


def _cpu_percent(raw: Raw) -> float:
    return float(raw["events"]["cpu_ns"] / raw["events"]["wall_ns"] * 100)


def _over_bare(raw: Raw) -> float:
    return float(raw["memory"]["end_kib"] - raw["bare_kib"]) * 1024 / 1e6
