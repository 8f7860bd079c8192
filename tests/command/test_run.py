"""`falco-plugin run`: output, limits, failures, signals and rejected libraries."""

from __future__ import annotations

import base64
import json
import os
import platform
import re
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.commands import RUN, check_refused
from support.hosts import environment, native_lines, run_command
from support.libraries import build_plugin, simple_plugin, write_sources

# Rejected libraries

FOREIGN = """
#include <stdint.h>
const char *plugin_get_required_api_version(void) {{ return "{version}"; }}
const char *plugin_get_version(void) {{ return "1.0.0"; }}
const char *plugin_get_name(void) {{ return "foreign"; }}
const char *plugin_get_description(void) {{ return ""; }}
const char *plugin_get_contact(void) {{ return ""; }}
const char *plugin_get_last_error(void *state) {{ return ""; }}
void *plugin_init(const void *in, int32_t *rc) {{ *rc = 0; return (void *)1; }}
void plugin_destroy(void *state) {{}}
uint32_t plugin_get_id(void) {{ return 999; }}
const char *plugin_get_event_source(void) {{ return "foreign"; }}
void *plugin_open(void *state, const char *params, int32_t *rc) {{ *rc = 0; return (void *)1; }}
void plugin_close(void *state, void *instance) {{}}
int32_t plugin_next_batch(void *state, void *instance, uint32_t *n, void ***events) {{ *n = 0; return 2; }}
"""


def compile_foreign(folder: Path, version: str) -> Path:
    """Compiles a plugin library that was not built by this SDK."""
    (folder / "foreign.c").write_text(FOREIGN.format(version=version))
    library = folder / "libforeign.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "foreign.c"], check=True)
    return library


def test_run_accepts_library_of_other_sdk(tmp_path: Path) -> None:
    (end,) = native_lines(compile_foreign(tmp_path, "3.0.0"))
    assert (end["result"], end["events"]) == ("eof", 0)


@pytest.mark.parametrize("subcommand", ["run", "info"])
@pytest.mark.parametrize("version", ["3.99.0", "4.0.0", "2.0.0"])
def test_run_rejects_unsupported_api_version(tmp_path: Path, subcommand: str, version: str) -> None:
    ran = run_command(subcommand, compile_foreign(tmp_path, version))
    check_refused(ran, f"the plugin needs plugin API {version}, but this host has 3.", by="falco-plugin-host")


def test_run_names_missing_library(tmp_path: Path) -> None:
    ran = run_command("run", "nothing.so", cwd=tmp_path)
    check_refused(ran, f"cannot open {tmp_path / 'nothing.so'}: No such file", by="falco-plugin-host")


def test_run_names_missing_python_target(tmp_path: Path) -> None:
    check_refused(
        run_command("run", "nothing.py", cwd=tmp_path),
        "nothing.py: no such file or folder: give path.py[:Name], a folder, or a library",
    )


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"just text\n" * 10], ids=["empty", "header", "text"])
def test_run_rejects_file_that_is_not_a_library(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.so"
    file.write_bytes(content)
    check_refused(run_command("run", file), f"{file} is not a shared library", by="falco-plugin-host")


def test_run_names_missing_symbols_of_library(tmp_path: Path) -> None:
    (tmp_path / "other.c").write_text("int other(void) { return 1; }\n")
    library = tmp_path / "libother.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "other.c"], check=True)
    ran = run_command("run", library)
    check_refused(ran, f"{library} is not a Falco plugin: it lacks ", "plugin_init", by="falco-plugin-host")


def test_run_rejects_library_of_other_architecture(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("other"))
    number, name = (183, "aarch64") if platform.machine() != "aarch64" else (62, "x86_64")
    content = bytearray(library.read_bytes())
    content[18:20] = number.to_bytes(2, "little")
    library.write_bytes(content)
    ran = run_command("run", library)
    check_refused(
        ran, f"{library} was built for {name}, but this machine is {platform.machine()}", by="falco-plugin-host"
    )


def test_json_output_has_documented_keys(runs: Path) -> None:
    lines = native_lines(runs, "--config", "ç", "--params", " p ")
    log = [line for line in lines if line["kind"] == "log"]
    assert log == [{"kind": "log", "severity": "warning", "text": "opened p with ç", "plugin": "runs"}]
    events = [line for line in lines if line["kind"] == "event"]
    common = {"kind": "event", "timestamp": 1_700_000_000_123_456_789, "source": "run_source"}
    assert events == [
        {**common, "number": 1, "text": "<1>", "data": "plain"},
        {**common, "number": 2, "text": "<2>", "data_base64": base64.b64encode(b"\xff\x00").decode()},
        {**common, "number": 3, "text": "<3>", "data": 'a "quoted" ü\n'},
        {**common, "number": 4, "text": "<4>", "data": ""},
    ]
    end = lines[-1]
    seconds = end.pop("seconds")
    assert isinstance(seconds, float)
    assert end == {
        "kind": "end",
        "result": "eof",
        "error": None,
        "events": 4,
        "bytes": len(b"plain") + 2 + len('a "quoted" ü\n'.encode()),
        "batches": 1,
        "timeouts": 0,
    }


def test_text_output_has_one_event_per_line(runs: Path) -> None:
    ran = run_command("run", runs)
    assert ran.status == 0
    assert [line.rsplit(" ", 1)[1] for line in ran.stdout.splitlines()] == ["<1>", "<2>", "<3>", "<4>"]
    assert all(line.startswith("2023-11-14") for line in ran.stdout.splitlines())
    assert "[warning] opened" in ran.stderr
    assert re.fullmatch(
        r"4 events, 21 bytes, \d\.\d{3} s(, \d+ events/s)?: the source ended", ran.stderr.splitlines()[-1]
    )
    one = run_command("run", runs, "--limit", 1).stderr.splitlines()[-1]
    assert one.startswith("1 event, 5 bytes, ")


def test_python_target_runs_like_its_library(runs: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": RUN})
    found = native_lines(tmp_path / "plugin.py")
    assert [line for line in found if line["kind"] != "end"] == [
        line for line in native_lines(runs) if line["kind"] != "end"
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["plugin.py"], "the temporary library is removed"


@pytest.mark.parametrize("limit", [1, 3, 4, 5])
def test_limit_stops_run_after_events(runs: Path, limit: int) -> None:
    lines = native_lines(runs, "--limit", str(limit))
    assert len([line for line in lines if line["kind"] == "event"]) == min(limit, 4)
    assert lines[-1]["events"] == min(limit, 4)
    assert lines[-1]["result"] == ("limit" if limit <= 4 else "eof")


def test_limit_ends_endless_source(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("endless", events="__import__('itertools').repeat(b'again')"))
    lines = native_lines(library, "--limit", "1000")
    assert (lines[-1]["events"], lines[-1]["result"]) == (1000, "limit")


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_limit_below_1_is_usage_error(runs: Path, limit: str) -> None:
    ran = run_command("run", runs, "--limit", limit)
    assert ran.status == 2
    assert "--limit" in ran.stderr


def test_run_reports_failure_after_events(tmp_path: Path) -> None:
    body = simple_plugin("fails").replace("raise EOF", "raise ValueError('no more')")
    ran = run_command("run", "--json", build_plugin(tmp_path, body))
    assert ran.status == 1
    kinds = [line["kind"] for line in ran.lines]
    assert [kind for kind in kinds if kind != "log"] == ["event", "event", "end"]
    assert ran.lines[-1]["result"] == "failure"
    assert ran.lines[-1]["error"].startswith("next_batch failed: ValueError: no more (plugin.py:")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("falco-plugin-host: next_batch failed: ValueError: no more")


@pytest.mark.parametrize("function", ["init", "open"])
def test_run_reports_failed_start_in_one_line(tmp_path: Path, function: str) -> None:
    arguments = {"init": "(self)", "open": "(self, params)"}[function]
    library = build_plugin(
        tmp_path, simple_plugin("fails", f"def {function}{arguments}:\n    raise OSError('no start')\n")
    )
    ran = run_command("run", "--json", library)
    assert ran.status == 1
    assert ran.lines[-1]["error"].startswith(f"{function} failed: OSError: no start (plugin.py:")
    assert len(ran.stderr.splitlines()) == 1


FOLLOWS = """
    from falco_plugin import Context, Plugin, Timeout, source

    class Follows(Plugin):
        name = "follows"

        def open(self, params):
            items = iter([b"one", b"two", b"three"])

            def pull(context, writer):
                for item in items:
                    writer.write(item)
                    return
                context.wait(0.01)
                raise Timeout

            return source.PullInstance(pull, close=lambda: self.log.info("closed"))
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_ctrl_c_closes_source_and_prints_totals(tmp_path: Path, form: str) -> None:
    words = [sys.executable, "-m", "falco_plugin", "run", str(build_plugin(tmp_path, FOLLOWS))]
    process = subprocess.Popen(
        [*words, "--json"] if form == "json" else words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
        text=True,
    )
    try:
        assert process.stdout is not None
        shown = [process.stdout.readline() for _ in range(3)]
        assert all(shown)
        # A terminal sends the signal to all processes of the group.
        os.killpg(process.pid, signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0, errors
    if form == "json":
        lines = [json.loads(line) for line in rest.splitlines()]
        assert {"kind": "log", "severity": "info", "text": "closed", "plugin": "follows"} in lines
        assert (lines[-1]["kind"], lines[-1]["result"], lines[-1]["events"]) == ("end", "interrupted", 3)
        assert errors == ""
    else:
        assert "[info] closed" in errors
        assert errors.splitlines()[-1].startswith("3 events, 11 bytes, ")
        assert errors.splitlines()[-1].endswith(": interrupted")
    assert "Traceback" not in errors


def test_closed_stdout_ends_run_silently(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("endless", events="__import__('itertools').repeat(b'again' * 100)"))
    process = subprocess.Popen(
        [sys.executable, "-m", "falco_plugin", "run", str(library)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 0
    assert b"Traceback" not in errors
    assert b"panic" not in errors


@pytest.mark.parametrize(
    ("code", "name", "number"),
    [
        ("ctypes.string_at(0)", "SIGSEGV", signal.SIGSEGV),
        ("os.abort()", "SIGABRT", signal.SIGABRT),
        ("os.kill(os.getpid(), 9)", "SIGKILL", signal.SIGKILL),
    ],
)
def test_run_names_signal_of_crashed_plugin(tmp_path: Path, code: str, name: str, number: int) -> None:
    source = simple_plugin("crashes").replace("raise EOF", f"import ctypes, os, resource; {code}")
    ran = run_command("run", "--json", build_plugin(tmp_path, source), cwd=tmp_path)
    assert ran.status == 1
    messages = [line for line in ran.stderr.splitlines() if line.startswith("falco-plugin: ")]
    assert messages == [f"falco-plugin: the plugin crashed the host with {name} (signal {int(number)})"]
    assert "Traceback" not in ran.stderr
    # The crash handler prints the line of the plugin that was running. SIGKILL cannot be handled.
    stack = re.search(r'most recent call first.*/plugin.py", line \d+ in pull$', ran.stderr, re.DOTALL | re.MULTILINE)
    assert bool(stack) == (number != signal.SIGKILL), ran.stderr


def test_sigterm_closes_source_normally(tmp_path: Path) -> None:
    write_sources(
        tmp_path,
        {
            "waits.py": """
            from falco_plugin import Plugin

            class Waits(Plugin):
                name = "waits"

                def open(self, params, context):
                    yield b"event"
                    context.wait()
            """
        },
    )
    script = Path(sysconfig.get_path("scripts"), "falco-plugin")
    with subprocess.Popen(
        [script, "run", "--json", tmp_path / "waits.py"], env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["data"] == "event"
        process.terminate()
        *_, end = map(json.loads, process.stdout)
        assert (end["kind"], end["result"]) == ("end", "interrupted")
        assert process.wait(20) == 0
