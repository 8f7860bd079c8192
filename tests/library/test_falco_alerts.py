"""``falco_plugin.testing.alerts`` and ``falco-plugin alerts`` with a real Falco."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.falco import real_falco
from support.hosts import environment, run_command
from support.libraries import write_sources
from support.paths import REPOSITORY
from support.scap import CAPTURES

from falco_plugin import Event
from falco_plugin.errors import PluginError
from falco_plugin.testing import RunError, alerts

pytestmark = pytest.mark.slow

PLUGIN = """
    from falco_plugin import Plugin, field, json_field

    class Shop(Plugin):
        name = event_source = "shop"
        order = json_field("shop.order", "/order", type=int, desc="Order")
        item = json_field("shop.item", "/items/{index}", desc="Item")
        never = json_field("shop.never", "/never", desc="Never")

        @field("shop.text", desc="Text")
        def text(self, event) -> str:
            return event.text

        def init(self):
            self.log.info("the limit is %s", self.config)
            if self.config == "fail":
                raise ValueError("there is no limit")

        def open(self, params):
            if params == "fail":
                raise ValueError("there is no shop")
            if params == "forever":
                import time
                while True:
                    yield b'{"order": 1}'
                    time.sleep(0.05)
            yield b'{"order": 1}'
            yield b'{"order": 2, "items": ["tea"]}'
"""
RULES = """
- rule: Order
  desc: d
  source: shop
  condition: shop.order >= 1 and not shop.never exists and not shop.item[3] = "cup"
  output: Order %shop.order of %shop.item[0] (text=%shop.text)
  priority: WARNING
  tags: [orders, b]
"""


@pytest.fixture(autouse=True)
def _falco(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALCO", real_falco())


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_sources(tmp_path, {"plugin.py": PLUGIN, "shop_rules.yaml": RULES})
    return tmp_path / "plugin.py"


def test_alerts_of_own_source_have_fields(shop: Path) -> None:
    found = alerts(shop, shop.with_name("shop_rules.yaml"), config="7")
    assert found.rules == ["Order", "Order"]
    first, second = found
    assert (first.rule, first.priority, first.source, first.tags) == ("Order", "Warning", "shop", ("b", "orders"))
    assert first.output == 'Order 1 of <NA> (text={"order": 1})'
    assert dict(second.fields) == {
        "shop.order": 2,
        "shop.item[0]": "tea",
        "shop.text": '{"order": 2, "items": ["tea"]}',
    }
    assert found.by_rule("Order") == list(found)
    assert repr(found).startswith("<2 alerts: Warning: Order: Order 1 of <NA>")
    assert "shop: the limit is 7" in found.log


EVENTS = [
    {"order": 1, "items": ["ü"]},
    '{"order": 2}',
    b'{"order": 3, "bytes": "\xff"}',
    ({"order": 4}, datetime(2026, 1, 5, 9, 0, 0, 500000, UTC)),
    (b'{"order": 5}', 1_700_000_000_000_000_001),
    Event(b'{"order": 6}', timestamp=1_600_000_000_000_000_000),
]


def test_written_events_replace_the_source(shop: Path) -> None:
    found = alerts(shop, RULES, events=EVENTS)
    assert [alert.fields["shop.order"] for alert in found] == [1, 2, 3, 4, 5, 6]
    assert found[0].fields["shop.item[0]"] == "ü"
    assert found[3].time == datetime(2026, 1, 5, 9, 0, 0, 500000, UTC)
    assert found[4].entry["time"] == "2023-11-14T22:13:20.000000001Z"
    assert found[5].time == datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)


def test_no_event_makes_no_alert(shop: Path) -> None:
    found = alerts(shop, RULES, events=[])
    assert found == []
    assert repr(found) == "<0 alerts: no rule fired>"


def test_limit_stops_a_live_source(shop: Path) -> None:
    assert len(alerts(shop, RULES, params="forever", limit=2)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": "fail"}, "there is no limit"),
        ({"params": "fail"}, "there is no shop"),
        ({"params": "forever", "timeout": 2}, "Falco did not end within 2 s: set a limit, or a longer timeout"),
    ],
)
def test_failure_has_the_log(shop: Path, options: dict, message: str) -> None:
    with pytest.raises(RunError, match=message) as caught:
        alerts(shop, RULES, **options)
    assert "the limit is" in str(caught.value)


def test_wrong_rules_are_reported(shop: Path) -> None:
    with pytest.raises(RunError, match=r"filter_check called with nonexistent field shop\.ordre"):
        alerts(shop, RULES.replace("shop.order >=", "shop.ordre >="), events=[])
    with pytest.raises(PluginError, match="rules: there is no file none.yaml"):
        alerts(shop, "none.yaml")


def test_wrong_parameters_are_reported(shop: Path) -> None:
    with pytest.raises(TypeError, match="events replace the plugin's source: leave out params"):
        alerts(shop, RULES, events=[], params="x")
    with pytest.raises(TypeError, match="an event must be a mapping or list, which becomes JSON, .* not int"):
        alerts(shop, RULES, events=[7])
    with pytest.raises(TypeError, match="the time of an event must be nanoseconds or an aware datetime"):
        alerts(shop, RULES, events=[(b"", datetime(2026, 1, 5))])


def test_command_shows_absent_fields_with_arguments(shop: Path) -> None:
    ran = run_command(
        "alerts", shop, "--rules", shop.with_name("shop_rules.yaml"), "--json", env=environment(FALCO=real_falco())
    )
    assert ran.status == 0, ran
    end = ran.lines[-1]
    assert end["never_present"] == {"shop.item[3]": 2, "shop.never": 2}
    assert (end["not_counted"], end["never_fired"]) == ([], [])
    assert not [line for line in ran.lines if line["kind"] == "log" and "absent" in line["text"]]


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of Falco's regression tests are not there")
def test_command_shows_alerts_of_a_capture_file(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "- rule: Program of a team\n  desc: d\n  source: syscall\n  condition: evt.type = execve and proc.owner = web\n"
        "  output: started by %proc.owner\n  priority: NOTICE\n"
    )
    (tmp_path / "owners.json").write_text('{"owners": {"/usr/bin/curl": "web", "curl": "web"}}')
    options = ["--rules", rules, "--scap", CAPTURES / "curl_google.scap", "--config", f"@{tmp_path / 'owners.json'}"]
    plugin = REPOSITORY / "examples" / "process_owner.py"
    ran = run_command("alerts", plugin, *options, "--json", env=environment(FALCO=real_falco()))
    assert ran.status == 0, ran
    shown = [line for line in ran.lines if line["kind"] == "alert"]
    assert shown
    assert {(line["rule"], line["output"]) for line in shown} == {("Program of a team", "started by web")}


def test_further_plugins_extract_from_written_events() -> None:
    plugins = REPOSITORY / "plugins"
    rules = """
- rule: Disk full
  desc: d
  source: jsonlog
  condition: json.value[/error] contains "disk" and jsonlog.value[/host] = "a"
  output: Disk full on %json.value[/host]
  priority: ERROR
"""
    events = [{"error": "disk full", "host": host} for host in ("a", "b")]
    (alert,) = alerts(plugins / "jsonlog", rules, events=events, plugins=[plugins / "json"])
    assert (alert.output, alert.source) == ("Disk full on a", "jsonlog")


def test_correlate_counts_failed_logins_of_written_events() -> None:
    plugins = REPOSITORY / "plugins"
    login = {"action": "login", "outcome": "failure", "user": {"name": "ada"}, "client": "192.0.2.7"}
    config = {
        "user": ["/user/name"],
        "address": ["/client"],
        "failure": {"/action": "login", "/outcome": "failure"},
        "success": {"/action": "login", "/outcome": "success"},
    }
    events = [(login, 1_767_603_600_000_000_000 + number * 1_000_000_000) for number in range(3)]
    (alert,) = alerts(
        plugins / "jsonlog",
        plugins / "correlate" / "correlate_rules.yaml",
        events=events,
        plugins=[(plugins / "correlate", config)],
    )
    assert alert.rule == "Many failed logins of one user"
    assert alert.fields["login.failures[5m]"] == 3
