"""Runs each file of examples/ as its docstring shows."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from support.events import CLOSE, EXECVE, encode_raw
from support.paths import REPOSITORY
from support.scap import encode_thread, write_capture

from falco_plugin.testing import RunningPlugin, collect, run
from falco_plugin.testing.fixtures import StartPlugin

EXAMPLES = REPOSITORY / "examples"
LOCALHOST = "127.0.0.1:0"


def listening_port(plugin: RunningPlugin) -> int:
    text = plugin.wait_for_log("listening on port").text
    return int(text.rpartition(" ")[2])


def test_new_files_reports_each_new_file(start_plugin: StartPlugin, tmp_path: Path) -> None:
    (tmp_path / "old.sh").touch()
    config = {"interval": 0.01, "suffixes": [".sh"]}
    plugin = start_plugin(
        EXAMPLES / "new_files.py", str(tmp_path), config=config, fields=["new_files.path", "new_files.mode"]
    )
    plugin.wait_for_log("watching")
    (tmp_path / "ignored.txt").touch()
    (tmp_path / "new.sh").touch(mode=0o700)
    fields = plugin.next_event().fields
    assert fields["new_files.path"] == str(tmp_path / "new.sh")
    assert fields["new_files.mode"] == "0o700"
    assert len(plugin.stop().events) == 1


def test_json_lines_follows_a_log(start_plugin: StartPlugin, tmp_path: Path) -> None:
    log = tmp_path / "app.jsonl"
    fields = ["json_lines.user", "json_lines.groups", "json_lines.rows", "json_lines.value[/user/name]"]
    plugin = start_plugin(EXAMPLES / "json_lines.py", str(log), fields=fields)
    log.write_text('{"time": "2026-01-01T00:00:42Z", "user": {"name": "eve", "groups": ["a", "b"]}, "rows": 7}\n')
    event = plugin.next_event()
    assert event.timestamp == 1_767_225_642_000_000_000
    assert dict(event.fields) == dict(zip(fields, ["eve", ["a", "b"], 7, "eve"], strict=True))


def test_udp_syslog_receives_messages(start_plugin: StartPlugin) -> None:
    fields = ["udp_syslog.severity", "udp_syslog.message"]
    plugin = start_plugin(EXAMPLES / "udp_syslog.py", LOCALHOST, fields=fields)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for message in (b"<14>one", b"two"):
            client.sendto(message, ("127.0.0.1", listening_port(plugin)))
    events = [plugin.next_event() for _ in range(2)]
    assert [event.data for event in events] == [b"<14>one", b"two"]
    assert [tuple(event.fields.values()) for event in events] == [(6, "one"), (None, "two")]
    assert plugin.stop().result == "interrupted"


def test_tcp_lines_receives_lines_of_several_clients(start_plugin: StartPlugin) -> None:
    plugin = start_plugin(EXAMPLES / "tcp_lines.py", LOCALHOST)
    address = ("127.0.0.1", listening_port(plugin))
    with socket.create_connection(address) as first, socket.create_connection(address) as second:
        first.sendall(b"one\n")
        assert plugin.next_event().data == b"one"
        second.sendall(b"x" * (65 << 10) + b"\n")
        plugin.wait_for_log("a connection was closed")
        first.sendall(b"two\r\n")
        assert plugin.next_event().data == b"two"
        # A client that stays connected does not delay the end.
        assert plugin.stop().result == "interrupted"


def test_request_fields_reads_events_of_another_plugin(tmp_path: Path) -> None:
    request = {"path": "/a//b", "status": 403, "client": "192.0.2.7", "headers": {"user-agent": "curl"}}
    log = tmp_path / "requests.jsonl"
    log.write_text(json.dumps(request) + '\n{"path": null}\n')
    names = ["status", "client", "header[user-agent]", "is_refused", "segments"]
    events = collect(
        REPOSITORY / "plugins/tail",
        str(log),
        config={"follow": False},
        plugins=[EXAMPLES / "request_fields.py"],
        fields=[f"request.{name}" for name in names],
    )
    assert [[str(value) for value in event.fields.values()] for event in events] == [
        ["403", "192.0.2.7", "curl", "True", "['a', 'b']"],
        ["None", "None", "None", "False", "None"],
    ]


def test_process_owner_finds_the_team_of_each_program(tmp_path: Path) -> None:
    threads = [encode_thread(1, "init", "/sbin/init"), encode_thread(2, "till", "/opt/shop/till")]
    path = b"/opt/shop/db/store\0"
    execve = [bytes(8), b"store\0", b"", *[bytes(8)] * 3, b"", *[bytes(8)] * 3, *[bytes(4)] * 3, b"store\0"]
    execve += [b""] * 13 + [path]
    events = [
        encode_raw(CLOSE, [bytes(8)], thread_id=1),
        encode_raw(CLOSE, [bytes(8)], thread_id=2),
        encode_raw(EXECVE, execve, thread_id=2),
        encode_raw(EXECVE, execve, thread_id=3),
        encode_raw(CLOSE, [bytes(8)], thread_id=9),
    ]
    ran = run(
        EXAMPLES / "process_owner.py",
        scap=write_capture(tmp_path / "small.scap", events, threads=threads),
        config={"owners": {"/opt/shop/": "shop", "/opt/shop/db/": "storage"}},
        plugins=[EXAMPLES / "team_activity.py"],
        tables=["process_owner_teams"],
    )
    assert ran.result == "eof", str(ran)
    names = ("proc.owner", "team.name", "team.programs")
    assert [tuple(event.fields[name] or None for name in names) for event in ran.events] == [
        (None, None, None),
        ("shop", "shop", None),
        ("storage", "storage", 1),
        ("storage", "storage", 2),
        (None, None, None),
    ]
    assert [entry.fields for entry in ran.tables["process_owner_teams"]] == [{"programs": 2}]
    assert ran.metrics["process_owner.started"] == 2
    assert not ran.log


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example_is_short_documented_and_shows_how_to_run_it(example: Path) -> None:
    text = example.read_text()
    assert 20 <= len(text.splitlines()) <= 60
    assert re.search(rf"^\$ falco-plugin run .*examples/{example.name} ", text, re.MULTILINE)
    assert f"| `{example.name}` |" in (REPOSITORY / "docs/reference/examples.md").read_text()
