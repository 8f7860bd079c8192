"""`Counter` and `Gauge` without a host, as in a unit test of a plugin."""

from __future__ import annotations

import threading
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falco_plugin import Counter, Gauge, Plugin, PluginError


class Counting(Plugin):
    name = "counting"
    requests = Counter("requests", desc="Requests")
    waiting = Gauge("waiting")

    @Gauge.computed("twice", every=60)
    def twice(self) -> float:
        return 2 * self.waiting.value


class Derived(Counting):
    name = "derived"


def test_each_object_has_its_own_values() -> None:
    one, two, derived = Counting(), Counting(), Derived()
    one.requests.add()
    one.requests.add(4)
    two.requests.add(2)
    derived.waiting.set(-3)
    assert [plugin.requests.value for plugin in (one, two, derived)] == [5, 2, 0]
    assert [plugin.waiting.value for plugin in (one, two, derived)] == [0, 0, -3]
    assert one.requests is one.requests
    assert derived.twice() == -6


def test_metric_has_name_description_and_value() -> None:
    plugin = Counting()
    plugin.waiting.set(1.5)
    assert (plugin.requests.name, plugin.requests.desc) == ("requests", "Requests")
    assert (plugin.waiting.name, plugin.waiting.desc) == ("waiting", "")
    assert [repr(plugin.requests), repr(plugin.waiting)] == [
        "Counter('requests', value=0)",
        "Gauge('waiting', value=1.5)",
    ]


@pytest.mark.parametrize(
    "change",
    [lambda: Counting.requests.add(), lambda: Counting.waiting.add(), lambda: Counting.waiting.set(1)],
)
def test_declaration_of_class_has_no_value(change) -> None:
    with pytest.raises(PluginError, match=r"of the class has no value.*use self\.(requests|waiting)"):
        change()


def test_metric_without_class_counts() -> None:
    counter = Counter("lookups")
    counter.add(3)
    assert counter.value == 3


class Slotted:
    __slots__ = ()
    requests = Counter("requests")


def test_metric_needs_dictionary_of_object() -> None:
    with pytest.raises(AttributeError, match="has no __dict__, which holds the metrics of its objects"):
        _ = Slotted().requests


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda counter, _: counter.add(-1), ValueError, "n must be 0 to 2**64 - 1, got -1: a counter only increases"),
        (lambda counter, _: counter.add(2**64), ValueError, "n must be 0 to 2**64 - 1, got 18446744073709551616"),
        (lambda counter, _: counter.add(1.0), TypeError, "n must be int, got float"),
        (lambda counter, _: counter.add("1"), TypeError, "n must be int, got str"),
        (lambda _, gauge: gauge.set("1"), TypeError, "value must be int or float, got str"),
        (lambda _, gauge: gauge.set(None), TypeError, "value must be int or float, got NoneType"),
        (lambda _, gauge: gauge.set(2**63), ValueError, "value must be -2**63 to 2**63 - 1, got 9223372036854775808"),
        (lambda _, gauge: gauge.add(-(2**63) - 1), ValueError, "n must be -2**63 to 2**63 - 1, got -92233"),
        (lambda _, gauge: gauge.add([]), TypeError, "n must be int or float, got list"),
        (lambda *_: Counter(1), TypeError, "name must be str, got int"),
        (lambda *_: Gauge("a", desc=b"b"), TypeError, "desc must be str, got bytes"),
        (lambda *_: Gauge.computed("a", every="1"), TypeError, "every must be a number of seconds or a timedelta"),
        (lambda *_: Gauge.computed("a", every=0), ValueError, "every must be more than 0 seconds, got 0"),
        (lambda *_: Gauge.computed("a", every=float("inf")), ValueError, "every must be more than 0 seconds, got inf"),
        (lambda *_: Gauge.computed(1), TypeError, "name must be str, got int"),
        (lambda *_: Gauge.computed("a")(Counter("b")), TypeError, "gauge a: @Gauge.computed is for methods"),
    ],
)
def test_metric_refuses_other_arguments(call, error: type[Exception], message: str) -> None:
    counter, gauge = Counter("counter"), Gauge("gauge")
    with pytest.raises(error) as raised:
        call(counter, gauge)
    assert str(raised.value).startswith(message)
    assert (counter.value, gauge.value) == (0, 0)


class Index:
    def __index__(self) -> int:
        return 7


def test_metric_takes_numbers_of_other_types() -> None:
    counter, gauge = Counter("counter"), Gauge("gauge")
    counter.add(Index())
    counter.add(True)
    assert counter.value == 8
    gauge.set(Index())
    assert (gauge.value, type(gauge.value)) == (7, int)
    gauge.set(Fraction(1, 2))
    assert (gauge.value, type(gauge.value)) == (0.5, float)


NUMBERS = st.integers(-(2**40), 2**40) | st.floats(-(2.0**40), 2.0**40)


@given(st.lists(st.tuples(st.sampled_from(["set", "add"]), NUMBERS)))
def test_gauge_is_the_number_of_python(changes: list[tuple[str, float]]) -> None:
    gauge, expected = Gauge("gauge"), 0
    for method, number in changes:
        getattr(gauge, method)(number)
        expected = number if method == "set" else expected + number
        assert (gauge.value, type(gauge.value)) == (expected, type(expected))


def test_counter_wraps_around_after_its_largest_number() -> None:
    counter = Counter("counter")
    counter.add(2**64 - 1)
    assert counter.value == 2**64 - 1
    counter.add(2)
    assert counter.value == 1


def test_metrics_of_several_threads_add_up() -> None:
    plugin = Counting()
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        # The first access makes the metric of the object.
        for _ in range(1000):
            plugin.requests.add(2)
            plugin.waiting.add(-1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (plugin.requests.value, plugin.waiting.value) == (8000, -4000)
