"""The metrics that the SDK finds in a class, and the declarations that it refuses."""

from __future__ import annotations

from datetime import timedelta

import pytest

from falco_plugin import Counter, Gauge, Plugin, PluginError
from falco_plugin._declare.metrics import declared_by, exported_name


class Base(Plugin):
    name = "base"
    first = Counter("first")
    second = Gauge("second")

    @Gauge.computed("third", desc="Third", every=timedelta(minutes=1))
    def third(self) -> int:
        return 3

    def open(self, params):
        return []


class Derived(Base):
    second = None
    first = Gauge("replaced")
    fourth = Counter("fourth")

    def third(self) -> int:
        return 33


def test_metrics_are_found_in_order_of_declaration() -> None:
    plugin = Base()
    first, second, third = declared_by(plugin)
    assert (first.name, first.value) == ("first", plugin.first)
    assert (second.name, second.value) == ("second", plugin.second)
    assert (third.name, third.every) == ("third", 60.0)
    assert third.method is not None
    assert (third.method(), third.value.value) == (3, 0)


def test_subclass_replaces_and_removes_metrics() -> None:
    first, third, fourth = declared_by(Derived())
    assert [metric.name for metric in (first, third, fourth)] == ["replaced", "third", "fourth"]
    assert third.method is not None
    assert third.method() == 33


def test_plain_object_has_metrics() -> None:
    class Plain:
        requests = Counter("requests")

    assert [metric.name for metric in declared_by(Plain())] == ["requests"]


@pytest.mark.parametrize("make", [Counter, Gauge, lambda name: Gauge.computed(name)(lambda self: 1)])
@pytest.mark.parametrize("name", ["", "1st", "Requests", "a-b", "a.b", "a b", "größe", "a\n", "a" * 201])
def test_name_must_suit_prometheus(make, name: str) -> None:
    with pytest.raises(PluginError, match="Falco and Prometheus do not accept this name"):
        declared_by(type("Wrong", (), {"wrong": make(name)})())


@pytest.mark.parametrize("name", ["sdk_events", "sdk_", "_sdk_events", "_totalsdk_events"])
def test_names_of_the_sdk_are_reserved(name: str) -> None:
    with pytest.raises(PluginError, match=f"^metric {name}: names that begin with sdk_ are reserved"):
        declared_by(type("Wrong", (), {"wrong": Counter(name)})())


@pytest.mark.parametrize("name", ["a", "_", "_a", "a1_b", "sdk", "sdks_", "a" * 200])
def test_other_names_are_accepted(name: str) -> None:
    (metric,) = declared_by(type("Right", (), {"right": Counter(name)})())
    assert metric.name == name


def replaced(attribute: str, value: object) -> type:
    def __init__(self) -> None:
        setattr(self, attribute, value)

    return type("Wrong", (Base,), {"__init__": __init__})


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (
            type("Wrong", (Base,), {"again": Counter("first")}),
            "metric first: the metric is declared twice: give one of the two another name",
        ),
        (
            type("Wrong", (Base,), {"alias": vars(Base)["first"]}),
            "metric first: the metric is declared twice: give one of the two another name",
        ),
        (
            type("Wrong", (Base,), {"bytes": Counter("first_bytes")}),
            "metric first_bytes: Falco exports it to Prometheus under the same name as first, because it removes units",
        ),
        (
            type("Wrong", (Base,), {"log": Counter("log")}),
            "metric log: it hides the plugin's own 'log': give its attribute another name",
        ),
        (
            replaced("first", 1),
            "metric first: self.first was replaced by int, so the Counter has no value: use self.first.add(n)",
        ),
        (
            replaced("second", 1),
            "metric second: self.second was replaced by int, so the Gauge has no value: use self.second.set(value)",
        ),
        (replaced("third", 1), "metric third: self.third was replaced by int, which cannot be called"),
    ],
)
def test_wrong_declaration_is_refused(cls: type, message: str) -> None:
    with pytest.raises(PluginError) as raised:
        declared_by(cls())
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "exported"),
    [
        # The names that `prometheus_metrics_converter` of falcosecurity/libs makes, after that of the plugin.
        ("requests", "requests_total"),
        ("requests_total", "requests_total"),
        ("cache_bytes", "cache_total"),
        ("cache_bytes_used", "cache_used_total"),
        ("nsswitch", "nsswitch_total"),
        ("lookups_nsswitch", "lookupsswitch_total"),
        ("hit_percentage", "hit_total"),
        ("a__b", "a_b_total"),
        ("_a", "a_total"),
    ],
)
def test_exported_name_is_that_of_falco(name: str, exported: str) -> None:
    assert exported_name(name) == exported
