"""`falco-plugin run` with files of events, recordings, a time limit, and configurations from files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.commands import check_refused
from support.hosts import environment, native_lines, run_command
from support.libraries import build_plugin, simple_plugin, write_sources

TIME = 1_700_000_000_123_456_789

LINES = """
    from dataclasses import dataclass

    from falco_plugin import Plugin, field, json_field

    @dataclass
    class Config:
        limit: int = 3
        name: str = "none"

    class Orders(Plugin):
        name = event_source = "orders"
        config: Config
        order = json_field("orders.id", "/id", type=int, desc="The order")

        def open(self, params):
            self.log.warning("opened with %s", params)
            yield b'{"id": 7}', 1_700_000_000_123_456_789
            yield b"\\xff\\x00", 1_700_000_000_123_456_790

        @field("orders.config", desc="The configuration")
        def shown(self, event) -> str:
            return f"{self.config.limit} {self.config.name}"

        def event_to_string(self, event):
            return f"<{event.data!r}>"
"""

ONLY_FIELDS = """
    from falco_plugin import Plugin, json_field

    class Reads(Plugin):
        name = "reads"
        extract_event_sources = ("orders",)
        order = json_field("reads.id", "/id", type=int, desc="The order")
"""


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("orders"), LINES, "orders")


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("reads"), ONLY_FIELDS, "reads")


def events_of(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["kind"] == "event"]


def opened(lines: list[dict[str, Any]]) -> list[str]:
    return [line["text"] for line in lines if line["kind"] == "log" and line["text"].startswith("opened")]


# Time


def test_seconds_end_endless_source(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("endless", events="__import__('itertools').repeat(b'again')"))
    assert native_lines(library, "--seconds", "0.01")[-1]["result"] == "seconds"
    text = run_command("run", library, "--seconds", "0.01")
    assert text.status == 0
    assert text.stderr.splitlines()[-1].endswith(": the time is up")


# Plain files of events


def test_events_file_replaces_the_source(orders: Path, tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(b'{"id": 1}\r\n\nplain\n\xff\n{"id": 2}')
    lines = native_lines(orders, "--events", str(file), "--fields", "orders.id")
    assert not opened(lines), "the source is not opened"
    events = events_of(lines)
    assert [event.get("data") for event in events] == ['{"id": 1}', "plain", None, '{"id": 2}']
    assert [event["fields"]["orders.id"] for event in events] == [1, None, None, 2]
    assert {event["source"] for event in events} == {"orders"}
    assert events[0]["text"] == "<b'{\"id\": 1}'>"
    assert (lines[-1]["result"], lines[-1]["events"]) == ("eof", 4)


def test_events_file_is_read_by_plugin_without_source(reads: Path, tmp_path: Path) -> None:
    (tmp_path / "events").write_text('{"id": 1}\n{"id": 2}\n')
    ran = run_command("run", reads, "--events", tmp_path / "events", "--all-fields", "--limit", 1)
    assert ran.status == 0, ran.stderr
    assert ran.stdout.endswith('Z {"id": 1}\treads.id=1\n')


def test_events_are_read_from_standard_input_as_they_come(reads: Path) -> None:
    command = [sys.executable, "-m", "falco_plugin", "run", reads, "--events", "-", "--all-fields", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        process.stdin.write(b'{"id": 5}\n{"id"')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["fields"] == {"reads.id": 5}
        process.stdin.write(b": 6}\n")
        process.stdin.close()
        assert json.loads(process.stdout.readline())["fields"] == {"reads.id": 6}
    assert process.returncode == 0


@pytest.mark.parametrize("option", ["--events", "--replay"])
def test_missing_file_of_events_is_named(orders: Path, option: str, tmp_path: Path) -> None:
    ran = run_command("run", orders, option, tmp_path / "none")
    check_refused(ran, f"cannot read {tmp_path / 'none'}: No such file", by="falco-plugin-host")
    check_refused(run_command("run", orders, option, tmp_path), f"cannot read {tmp_path}", by="falco-plugin-host")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--events", "a", "--replay", "b"], "--events and --replay: give one of them"),
        (["--events", "a", "--scap", "b"], "--events and --scap: give one of them"),
        (["--replay", "a", "--params", "b"], "--replay replaces a source: leave out --params"),
    ],
)
def test_two_sources_are_usage_error(orders: Path, options: list[str], message: str) -> None:
    ran = run_command("run", orders, *options)
    assert (ran.status, message in ran.stderr) == (2, True), ran.stderr


# Recordings


@pytest.mark.parametrize("form", ["record", "json"])
def test_recorded_events_are_replayed_with_their_times(orders: Path, tmp_path: Path, form: str) -> None:
    file = tmp_path / "recorded"
    if form == "record":
        ran = run_command("run", orders, "--record", file)
        assert len(ran.stdout.splitlines()) == 2
    else:
        file.write_text(run_command("run", orders, "--json", "--all-fields", "--metrics").stdout)
    events = events_of(native_lines(orders, "--replay", str(file), "--fields", "orders.id"))
    common = {"kind": "event", "source": "orders"}
    assert events == [
        {
            **common,
            "number": 1,
            "timestamp": TIME,
            "text": "<b'{\"id\": 7}'>",
            "data": '{"id": 7}',
            "fields": {"orders.id": 7},
        },
        {
            **common,
            "number": 2,
            "timestamp": TIME + 1,
            "text": "<b'\\xff\\x00'>",
            "data_base64": "/wA=",
            "fields": {"orders.id": None},
        },
    ]


def test_recording_has_no_fields_and_can_be_recorded_again(orders: Path, tmp_path: Path) -> None:
    run_command("run", orders, "--record", tmp_path / "first", "--all-fields", "--json")
    run_command("run", orders, "--replay", tmp_path / "first", "--record", tmp_path / "second")
    assert (tmp_path / "first").read_text() == (tmp_path / "second").read_text()
    assert "fields" not in (tmp_path / "first").read_text()


def test_written_recording_needs_only_data(orders: Path, tmp_path: Path) -> None:
    records = ['{"data": {"id":   1}}', "", '{"data": "{\\"id\\": 2}", "timestamp": 5}', '{"kind": "log", "text": "x"}']
    (tmp_path / "records").write_text("\n".join(records))
    events = events_of(native_lines(orders, "--replay", str(tmp_path / "records"), "--fields", "orders.id"))
    assert [event["fields"]["orders.id"] for event in events] == [1, 2]
    assert events[0]["data"] == '{"id":   1}'
    assert events[0]["timestamp"] > TIME
    assert events[1]["timestamp"] == 5


def test_async_events_are_replayed(orders: Path, tmp_path: Path) -> None:
    record = {"kind": "async_event", "timestamp": 7, "source": "orders", "name": "sent", "data": "text"}
    (tmp_path / "records").write_text(json.dumps(record))
    (event,) = (
        line for line in native_lines(orders, "--replay", str(tmp_path / "records")) if line["kind"] == "async_event"
    )
    assert event == {**record, "number": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("plain", "expected a JSON object as --record writes it"),
        ("{}", "the event has neither data nor data_base64: a plain file of events needs --events"),
        ('{"data_base64": "?"}', "not base64"),
        ('{"data": "a", "data_base64": ""}', "the event has several of data, data_base64 and raw_base64: leave one"),
        ('{"data": "a", "kind": "alert"}', 'the kind "alert" is not known: expected event or async_event'),
        ('{"data": "a", "kind": "async_event"}', "the async event has no name"),
        ('{"raw_base64": "AAAA"}', "the event in raw_base64 is damaged"),
        ('{"data": "a", "timestamp": -1}', "expected a JSON object"),
    ],
)
def test_faulty_recording_is_reported_with_its_line(orders: Path, tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "records"
    file.write_text('{"data": "good"}\n' + line + "\n")
    ran = run_command("run", orders, "--replay", file)
    assert ran.status == 1
    assert len(ran.stdout.splitlines()) == 1
    assert f"falco-plugin-host: {file}:2: {message}" in ran.stderr


def test_record_does_not_overwrite_what_it_reads(orders: Path, tmp_path: Path) -> None:
    (tmp_path / "records").write_text('{"data": "a"}\n')
    ran = run_command("run", orders, "--replay", tmp_path / "records", "--record", tmp_path / "records")
    check_refused(ran, "--record would overwrite", by="falco-plugin-host")
    assert (tmp_path / "records").read_text() == '{"data": "a"}\n'


def test_record_that_cannot_be_written_is_an_error(orders: Path) -> None:
    ran = run_command("run", orders, "--record", "/dev/full")
    assert ran.status == 1
    assert "cannot write /dev/full: No space left on device" in ran.stderr
    check_refused(run_command("run", orders, "--record", "/nonexistent/file"), by="falco-plugin-host")


# Configurations


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("c.yaml", 'limit: "5"\nname: a b\n', "5 a b"),
        ("c.yml", "limit: ${LIMIT}\nname: $${LIMIT}\n", "9 ${LIMIT}"),
        ("c.json", '{"limit": 6, "name": "j"}\n', "6 j"),
        ("c.yaml", "", "3 none"),
    ],
)
def test_config_of_file_arrives_as_from_falco(
    orders: Path, tmp_path: Path, name: str, content: str, expected: str
) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "events").write_text("x\n")
    options = ["--events", "events", "--config", f"@{name}", "--fields", "orders.config", "--json"]
    ran = run_command("run", orders, *options, cwd=tmp_path, env=environment(LIMIT="9"))
    assert events_of(ran.lines)[0]["fields"]["orders.config"] == expected


def test_config_of_file_has_the_types_of_falco(orders: Path, tmp_path: Path) -> None:
    # Falco makes a bool of the word yes, also in quotes.
    (tmp_path / "c.yaml").write_text('name: "yes"\n')
    ran = run_command("run", orders, "--config", "@c.yaml", cwd=tmp_path)
    check_refused(ran, "name: expected string, got boolean", by="falco-plugin-host")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read c.yaml: No such file or directory"),
        ("- a\n", "c.yaml: a configuration must be a mapping or a string, not a list"),
        ("a: [\n", "c.yaml:2: not YAML"),
    ],
)
def test_faulty_config_file_is_usage_error(orders: Path, tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "c.yaml").write_text(content)
    for option in (["--config"], ["--set-config"], ["--with", orders, "--with-config"]):
        ran = run_command("run", orders, *option, "@c.yaml", cwd=tmp_path)
        assert (ran.status, message in ran.stderr) == (2, True), ran.stderr


# A configuration of Falco


def falco_yaml(folder: Path, *plugins: tuple[str, Path | str], load: str = "") -> Path:
    entries = "".join(
        f"  - name: {name}\n    library_path: {library}\n    init_config: {{limit: {index + 7}}}\n"
        f"    open_params: ' given-{name} '\n"
        for index, (name, library) in enumerate(plugins)
    )
    path = folder / "falco.yaml"
    path.write_text(f"plugins:\n{entries}{load}\n")
    return path


def test_from_runs_plugin_of_falco_configuration(orders: Path, reads: Path, tmp_path: Path) -> None:
    path = falco_yaml(tmp_path, ("reads", reads), ("orders", orders))
    text = path.read_text().replace("{limit: 7}", "''")
    path.write_text(text)
    ran = run_command("run", "--from", path, "--json", "--all-fields")
    assert ran.status == 0, ran.stderr
    assert opened(ran.lines) == ["opened with given-orders"]
    assert events_of(ran.lines)[0]["fields"] == {"orders.id": 7, "orders.config": "8 none", "reads.id": 7}
    # Options of the command win, and load_plugins chooses.
    path = falco_yaml(tmp_path, ("reads", reads), ("orders", orders), load="load_plugins: [orders]")
    ran = run_command("run", "orders", "--from", path, "--json", "--all-fields", "--params", "mine")
    assert opened(ran.lines) == ["opened with mine"]
    assert events_of(ran.lines)[0]["fields"] == {"orders.id": 7, "orders.config": "8 none"}


def test_from_runs_code_instead_of_library(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": LINES})
    path = falco_yaml(tmp_path, ("orders", "liborders.so"))
    ran = run_command("run", "plugin.py", "--from", path, "--json", "--fields", "orders.config", cwd=tmp_path)
    assert events_of(ran.lines)[0]["fields"] == {"orders.config": "7 none"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rules_files: []", "loads no plugin: the key plugins is missing or empty"),
        ("plugins: [{name: a, library_path: a.so}]\nload_plugins: []", "loads no plugin: load_plugins is empty"),
        ("- a", "expected a mapping with the key plugins, as in falco.yaml"),
        ("plugins: {a: b}", ":1: plugins must be a list"),
        ("plugins:\n  - library_path: a.so", ":2: a plugin has no name"),
        ("plugins:\n  - name: a", ":2: a plugin has no library_path"),
        ("plugins:\n  - name: a\n    library_path: [a]", ":3: library_path must be a string"),
        (
            "plugins: [{name: a, library_path: a.so}]\nload_plugins: [b]",
            ":2: load_plugins names b, which plugins does not have (plugins: a)",
        ),
        (
            "plugins: [{name: a, library_path: a.so}]",
            "the library of the plugin a does not exist: /usr/share/falco/plugins/a.so: install it, or give",
        ),
    ],
)
def test_faulty_falco_configuration_is_reported(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "falco.yaml").write_text(content)
    check_refused(run_command("run", "--from", "falco.yaml", cwd=tmp_path), message)


def test_from_names_the_plugins_to_choose_from(orders: Path, tmp_path: Path) -> None:
    other = build_plugin(tmp_path, simple_plugin("other"), "other")
    path = falco_yaml(tmp_path, ("orders", orders), ("other", other))
    check_refused(
        run_command("run", "--from", path),
        "loads several plugins with an event source: orders, other: give TARGET, such as orders",
    )
    ran = run_command("run", "--from", path, "orders", "--json")
    assert ran.status == 0, ran.stderr
    assert "other only makes events, and run shows those of one source: it is left out" in ran.stderr
    write_sources(tmp_path, {"third.py": simple_plugin("third")})
    ran = run_command("run", "--from", path, tmp_path / "third.py")
    check_refused(ran, "loads no plugin third, which is the name of", "(plugins: orders, other)")
    assert run_command("run").status == 2


# The standard streams of a terminal


@pytest.mark.parametrize(
    ("variables", "has_colour"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": None}, False),
    ],
)
def test_pretty_has_colour_if_the_terminal_has_it(
    orders: Path, tmp_path: Path, variables: dict[str, str | None], has_colour: bool
) -> None:
    (tmp_path / "records").write_text('{"data": {"id": 1}, "timestamp": 5000000}\n')
    command = ["run", str(orders), "--replay", str(tmp_path / "records"), "--all-fields", "--pretty"]
    shown = run_on_terminal(command, {"NO_COLOR": None, **variables})
    assert ("\x1b[36m" in shown) == has_colour
    if not has_colour:
        assert "\x1b" not in shown
        assert shown.startswith("1970-01-01 00:00:00.005Z  <b'{\"id\": 1}'>\r\n    orders.id      1\r\n")


def run_on_terminal(command: list[str], variables: dict[str, str | None]) -> str:
    """Runs the command with a terminal as its output, and returns what the terminal gets, without that of stderr."""
    terminal, output = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "falco_plugin", *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.DEVNULL,
        env=environment(**variables),
    ) as process:
        os.close(output)
        shown = b""
        while True:
            try:
                part = os.read(terminal, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
    os.close(terminal)
    assert process.returncode == 0
    return shown.decode()
