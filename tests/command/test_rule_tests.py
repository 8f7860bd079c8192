"""``falco-plugin test``: the files of tests, their discovery, and wrong ones. Real rules are in tests/library."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.falco import fake_environment, real_falco
from support.hosts import Output, environment, run_command
from support.libraries import write_sources

PLUGIN = """
    from falco_plugin import Plugin, json_field

    class Shop(Plugin):
        name = event_source = "shop"
        order = json_field("shop.order", "/order", type=int, desc="Order")
        item = json_field("shop.item", "/items/{index}", desc="Item")
        note = json_field("shop.note", "/note", desc="Note")

        def init(self):
            self.limit = int(self.config or 0)

        def open(self, params):
            raise RuntimeError("the test replaces this source")
"""
RULES = """
- macro: large
  condition: (shop.order > 100)

- rule: Large order
  desc: An order is large.
  source: shop
  condition: large and shop.item[1] = "cup"
  output: Large order (order=%shop.order item=%shop.item[1] time=%evt.time)
  priority: WARNING
  tags: [orders]

- rule: Any order
  desc: An order.
  source: shop
  condition: shop.order exists
  output: An order
  priority: INFO
"""
TESTS = """
- name: a large order
  events:
    - {order: 101, items: [tea, cup]}
  times: [2026-01-05T09:00:00.5Z]
  fires:
    - rule: Large order
      fields: {shop.order: 101, "shop.item[1]": cup}
  does_not_fire: any

- name: a small order
  events:
    - '{"order": 1}'
    - {order: 2, paid: no, at: 2026-01-05}
  fires: {Any order: 2}
  does_not_fire: Large order

- name: several
  events_file: events.jsonl
  fires: [Large order, Any order]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "plugin.py": PLUGIN,
        "shop_rules.yaml": RULES,
        "shop_rules.test.yaml": TESTS,
        "events.jsonl": '{"order": 101, "items": ["tea", "cup"]}\n{"order": 1}\n',
    }
    return write_sources(tmp_path, files)


def run_tests(folder: Path, *arguments: object, falco: str | None = None) -> Output:
    env = fake_environment() if falco is None else environment(FALCO=falco)
    return run_command("test", *arguments, env=env, cwd=folder)


@pytest.mark.slow
def test_tests_pass_in_a_real_falco(folder: Path) -> None:
    falco = real_falco()
    for arguments in ((), (".",), ("plugin.py:Shop", "shop_rules.test.yaml"), ("shop_rules.test.yaml",)):
        ran = run_tests(folder, *arguments, falco=falco)
        assert ran.status == 0, ran
        assert ran.stdout.startswith(
            "shop_rules.test.yaml\n  PASS  a large order\n  PASS  a small order\n  PASS  several\n\n3 passed in "
        )


FAILURES = """
- name: an order without cups
  events:
    - {order: 101, items: [tea, pot]}
    - not json
  fires: [Large order]
- name: wrong fields
  events:
    - {order: 101, items: [tea, cup]}
  fires:
    - {rule: Large order, fields: {shop.order: 7}}
- name: a forbidden rule
  events: [{order: 1}]
  does_not_fire: Any order
- name: a count
  events: [{order: 1}]
  fires: {Any order: 2}
- name: a misspelt rule
  events: [{order: 1}]
  fires: [Large ordre]
"""
REPORTS = """\
shop_rules.test.yaml
  FAIL  an order without cups
        must fire: Large order: it did not
          its condition: large and shop.item[1] = "cup"
          event 1: {"order": 101, "items": ["tea", "pot"]}
            shop.item[1] = pot
            shop.order = 101
          event 2: not json
            shop.item[1] = <NA>
            shop.order = <NA>
        instead fired: Any order
  FAIL  wrong fields
        must fire: Large order (shop.order=7): it did not
          it fired with shop.item[1]=cup  shop.order=101
  FAIL  a forbidden rule
        must not fire: Any order: it did: An order
  FAIL  a count
        must fire 2 times: Any order: 1 did
  FAIL  a misspelt rule
        there is no rule 'Large ordre': did you mean 'Large order'?

5 failed, 0 passed in """


@pytest.mark.slow
def test_failures_show_the_reason(folder: Path) -> None:
    falco = real_falco()
    write_sources(folder, {"shop_rules.test.yaml": FAILURES})
    ran = run_tests(folder, "--junit", "results.xml", falco=falco)
    assert ran.status == 1
    assert ran.stdout.startswith(REPORTS)
    (suite,) = ElementTree.parse(folder / "results.xml").getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("5", "5")
    assert suite[2].attrib["name"] == "a forbidden rule"
    assert suite[2][0].attrib["message"] == "must not fire: Any order: it did: An order"


EXTRACTOR = """
    from falco_plugin import Plugin, field

    class Length(Plugin):
        name = "length"
        extract_event_sources = {sources}

        @field("length.bytes", desc="Bytes")
        def bytes(self, event) -> int:
            return len(event.data)
"""
LENGTH_RULES = """
- rule: Long event
  desc: d
  source: shop
  condition: length.bytes > 3
  output: Long event (bytes=%length.bytes)
  priority: INFO
"""


@pytest.mark.slow
@pytest.mark.parametrize(("sources", "key"), [("('shop',)", ""), ("()", "source: shop\n")])
def test_plugin_without_source_gets_one(tmp_path: Path, sources: str, key: str) -> None:
    falco = real_falco()
    tests = f"{key}tests:\n  - name: long\n    events: [abcd, abc]\n    fires: {{Long event: 1}}\n"
    files = {
        "plugin.py": EXTRACTOR.format(sources=sources),
        "length_rules.yaml": LENGTH_RULES,
        "length_rules.test.yaml": tests,
    }
    ran = run_tests(write_sources(tmp_path, files), falco=falco)
    assert ran.status == 0, ran


@pytest.mark.slow
def test_tests_use_further_plugins_and_configurations(folder: Path) -> None:
    falco = real_falco()
    tests = """
    config: "7"
    rule_matching: all
    rules: [shop_rules.yaml, length_rules.yaml]
    with: [{plugin: length.py, config: ""}]
    tests:
      - name: all rules
        events: [{order: 101, items: [tea, cup]}]
        fires: [Large order, Any order, Long event]
      - name: a wrong configuration
        config: seven
        events: []
        does_not_fire: any
    """
    files = {"shop_rules.test.yaml": tests, "length.py": EXTRACTOR.format(sources="('shop',)")}
    write_sources(folder, {**files, "length_rules.yaml": LENGTH_RULES})
    ran = run_tests(folder, "plugin.py", falco=falco)
    assert ran.status == 1
    assert "PASS  all rules" in ran.stdout
    assert "invalid literal for int() with base 10: 'seven'" in ran.stdout + ran.stderr


# Wrong files. They are found before Falco runs.


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ("7", "must be a list of tests, or a mapping with tests"),
        ("tests: []", "has no tests"),
        ("tset: []", "has the unknown key tset: use config, rule_matching, rules, source, tests, with"),
        ("- 7", "test 1 must be a mapping with name, events and fires, got 7"),
        ("- {name: a, events: []}", "a expects nothing: add fires or does_not_fire"),
        ("- {name: a, fires: []}", "a: give either events or events_file"),
        ("- {name: a, events: [], events_file: b, fires: []}", "a: give either events or events_file"),
        ("- {name: a, events: b, fires: []}", "a: events must be a list of events, each a mapping or a string"),
        ("- {name: a, events: [7], fires: []}", "a: event 1: an event must be a mapping or list, which becomes JSON"),
        ("- {name: a, events_file: b, fires: []}", "a: cannot read b: No such file or directory"),
        ("- {name: a, events: [b], times: [], fires: []}", "times must be a list with the time of each of the 1"),
        ("- {name: a, events: [b], times: [2026-01-05T00:00:00], fires: []}", "has no zone: add Z for UTC"),
        ("- {name: a, events: [], fires: [], fire: []}", "a has the unknown key fire: use config, does_not_fire"),
        ("- {name: a, events: [], fires: 7}", "a: fires must be a list of rules, or a mapping of rules to counts"),
        ("- {name: a, events: [], does_not_fire: [7]}", "a: does_not_fire must be a list of rules, or any for all"),
        ("- {name: a, events: [], fires: [], config: 7}", "a: config must be a mapping or a string, not int"),
        ("rule_matching: some\ntests: [{name: a}]", "rule_matching must be first or all, got 'some'"),
        ("rules: none.yaml\ntests: [{name: a}]", "rules: there is no file none.yaml"),
        ("with: 7\ntests: [{name: a}]", "with must be a list of plugins, or of mappings with plugin and config"),
        ("a: [", ":1: not YAML: "),
    ],
)  # fmt: skip
def test_wrong_file_is_reported(folder: Path, tests: str, message: str) -> None:
    (folder / "shop_rules.test.yaml").write_text(tests)
    ran = run_tests(folder)
    assert ran.status == 1
    assert ran.stdout == ""
    assert ran.stderr.startswith("falco-plugin: shop_rules.test.yaml")
    assert message in ran.stderr


def test_missing_files_are_reported(folder: Path) -> None:
    (folder / "shop_rules.yaml").unlink()
    assert "there is no shop_rules.yaml beside it: name the rule files with rules" in run_tests(folder).stderr
    (folder / "shop_rules.test.yaml").unlink()
    assert "there is no file *_rules.test.yaml in the folder of ." in run_tests(folder).stderr


def test_library_is_rejected_as_target(folder: Path) -> None:
    assert run_command("build", "--linked", ".", cwd=folder).status == 0
    ran = run_tests(folder, "libshop.so", "shop_rules.test.yaml")
    assert "libshop.so is a library, whose events cannot be replaced: give the plugin's file or folder" in ran.stderr
