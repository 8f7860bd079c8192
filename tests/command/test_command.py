"""The command: what it says of bad input, and what ``run`` shows."""

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
import yaml
from support.hosts import MISSING, Ran, build_plugin, command, environment, native, run, simple, write_sources

HEAD = "from falco_plugin import Plugin\n\n\nclass P(Plugin):\n    name = 'p'\n    def open(self, params): ...\n"


def check_refused(ran: Ran, *told: str, by: str = "falco-plugin") -> None:
    """One clear line on stderr, nothing else, and exit status 1."""
    assert ran.status == 1, ran
    assert ran.stdout == ""
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"{by}: ")
    for text in told:
        assert text in line


# Bad input of build: the source, and what is told.
BAD_SOURCES = {
    "no plugin": ("x = 1\n", ["bad.py has no plugin", "define a subclass of falco_plugin.Plugin", "bad.py:NAME"]),
    "two plugins": (
        f"{HEAD}\n\nclass Q(P):\n    name = 'q'\n",
        ["bad.py has 2 plugins (P at bad.py:4, Q at bad.py:9)", "name one, such as ", "bad.py:P"],
    ),
    "empty": ("", ["bad.py has no plugin"]),
    "missing module": (
        "import no_such_module_at_all\n",
        ["No module named 'no_such_module_at_all'", "install it into", "bad.py:1"],
    ),
    "missing name": ("from json import nothing\n", ["ImportError: cannot import name 'nothing'", "bad.py:1"]),
    "raises": ("x = 1\n1 / 0\n", ["ZeroDivisionError: division by zero", "bad.py:2"]),
    "exits": ("raise SystemExit(7)\n", ["SystemExit: 7", "bad.py:1"]),
    "interrupts": ("raise KeyboardInterrupt\n", ["KeyboardInterrupt", "bad.py:1"]),
    "syntax": ("x = 1\ndef (\n", ["SyntaxError: invalid syntax (bad.py:2: def ()"]),
    "indentation": ("if True:\nx = 1\n", ["IndentationError: ", "(bad.py:2: x = 1)"]),
    "nul": ("x = '\0'\n", ["bad.py", "null bytes"]),
    "sibling": ("import sibling\n", ["bad.py imports sibling", "not packed with a single file", "build the folder"]),
    "no name": (HEAD.replace("name = 'p'", ""), ["P has no name", "name = 'lines'"]),
    "bad name": (HEAD.replace("'p'", "'Bad Name'"), ["P: the name 'Bad Name' is not accepted by Falco", "lower-case"]),
    "name is no text": (HEAD.replace("'p'", "7"), ["P: name must be str, not int"]),
    "bad version": (f"{HEAD}    version = '1'\n", ["the version '1' must be three numbers, such as 0.1.0"]),
    "id too small": (f"{HEAD}    id = 0\n", ["id must be 1 to 2147483647", "not 0"]),
    "id too large": (f"{HEAD}    id = 2**31\n", ["id must be 1 to 2147483647", "not 2147483648"]),
    "id is text": (f"{HEAD}    id = '999'\n", ["id must be int, not str"]),
    "bad source": (f"{HEAD}    event_source = 'a-b'\n", ["the event_source 'a-b' is not accepted by Falco"]),
    "taken source": (f"{HEAD}    event_source = 'syscall'\n", ["the event_source 'syscall' is Falco's own"]),
    "taken source by default": (
        HEAD.replace("'p'", "'internal'"),
        ["the event_source 'internal', which is the plugin's name, is Falco's own: choose another name, or set"],
    ),
    "nul in a text": (f"{HEAD}    contact = 'a\\0b'\n", ["contact must not contain NUL"]),
    "method hides attribute": (
        f"{HEAD}    def contact(self): ...\n",
        ["the method 'contact' hides the plugin attribute 'contact'", "another name"],
    ),
    "method hides config": (
        f"{HEAD}    def config(self): ...\n",
        ["the method 'config' hides the plugin attribute 'config'", "another name"],
    ),
    "attribute hides method": (
        f"{HEAD}    destroy = 4\n",
        ["the attribute 'destroy' (int) hides the plugin method 'destroy'", "another name"],
    ),
    "no capability": ("from falco_plugin import Plugin\n\n\nclass P(Plugin):\n    name = 'p'\n", ["define open"]),
    "constructor fails": (
        f"{HEAD}    def __init__(self):\n        raise ValueError('not today')\n",
        ["bad:P fails: ValueError: not today", "bad.py:8"],
    ),
}


@pytest.mark.parametrize("kind", BAD_SOURCES)
def test_build_of_a_bad_source_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    source, told = BAD_SOURCES[kind]
    (tmp_path / "bad.py").write_text(source)
    (tmp_path / "sibling.py").write_text("")
    check_refused(command("build", "bad.py", "-o", "out.so", cwd=tmp_path), *told)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.py", "sibling.py"], "nothing is left behind"


@pytest.mark.parametrize("way", ["module", "--python"])
def test_a_sibling_is_noticed_however_the_command_is_called(tmp_path: Path, way: str) -> None:
    # Python puts the working directory in front of its path for `python -m`, where the library will not have it.
    write_sources(tmp_path, {"sibling.py": "", "bad.py": "import sibling\n" + simple("lonely")})
    if way == "module":
        ran = run(sys.executable, "-m", "falco_plugin", "build", "bad.py", cwd=tmp_path)
    else:
        ran = command("build", "bad.py", "--python", sys.executable, cwd=tmp_path)
    check_refused(ran, "bad.py imports sibling", "build the folder")


@pytest.mark.parametrize("subcommand", ["run", "info"])
def test_run_and_info_of_a_bad_source_are_one_clear_line(tmp_path: Path, subcommand: str) -> None:
    (tmp_path / "bad.py").write_text("import json\njson.loads('{')\n")
    check_refused(command(subcommand, "bad.py", cwd=tmp_path), "JSONDecodeError: ", "bad.py:2")


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("subcommand", ["build", "run", "info"])
def test_debug_shows_the_traceback_of_the_author_s_code(tmp_path: Path, subcommand: str, place: str) -> None:
    (tmp_path / "bad.py").write_text("def inner():\n    raise ValueError('deep inside')\n\n\ninner()\n")
    words = ["--debug", subcommand, "bad.py"] if place == "before" else [subcommand, "bad.py", "--debug"]
    ran = command(*words, cwd=tmp_path)
    assert ran.status == 1
    assert "Traceback (most recent call last)" in ran.stderr
    assert 'bad.py", line 2, in inner' in ran.stderr
    assert "ValueError: deep inside" in ran.stderr


def test_build_of_a_missing_file_names_it(tmp_path: Path) -> None:
    check_refused(
        command("build", "nothing.py", cwd=tmp_path),
        "nothing.py: no such file or folder: give path.py[:Name], a folder, or a library",
    )


def test_build_of_a_name_that_is_not_there_names_it(tmp_path: Path) -> None:
    write_sources(tmp_path, {"some.py": simple("some")})
    check_refused(
        command("build", "some.py:Other", cwd=tmp_path),
        "some.py has no class or factory function 'Other': name one that stands at its top level",
    )


def test_build_of_a_library_says_what_it_takes(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple("built"))
    check_refused(command("build", library), "is not Python code", "path.py[:Name] or a folder")


def test_build_of_a_folder_without_python_has_no_plugin(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    check_refused(command("build", "empty", cwd=tmp_path), "empty has no plugin")


def test_one_of_two_plugins_can_be_named(tmp_path: Path) -> None:
    write_sources(tmp_path, {"two.py": f"{HEAD}\n\nclass Q(P):\n    name = 'q'\n"})
    ran = command("build", "two.py:Q", cwd=tmp_path)
    assert ran.status == 0, ran.stderr
    assert (tmp_path / "libq.so").exists()


def test_build_says_what_falco_needs(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple("shown", 'event_source = "shown_source"\n')})
    ran = command("build", "plugin.py", cwd=tmp_path)
    assert ran.status == 0
    library = (tmp_path / "libshown.so").resolve()
    assert library.exists()
    for text in ("- name: shown\n", f"library_path: {library}\n", "load_plugins: [shown]", "source: shown_source"):
        assert text in ran.stdout


REQUIRES = """
    from dataclasses import dataclass, field

    from falco_plugin import Plugin

    @dataclass
    class Config:
        url: str
        period: int
        names: list[str] = field(default_factory=list)

    class Requires(Plugin):
        name = event_source = "requires"
        config: Config

        def open(self, params):
            return [b"event"]
"""


@pytest.mark.parametrize(
    ("source", "config"),
    [
        (simple("any"), ""),
        (REQUIRES, {"url": "", "period": ""}),
        (REQUIRES.replace("url: str", "url: str = ''").replace("period: int", "period: int = 5"), ""),
    ],
    ids=["text", "required", "optional"],
)
def test_the_yaml_that_build_shows_has_the_keys_that_are_required(tmp_path: Path, source: str, config: object) -> None:
    write_sources(tmp_path, {"plugin.py": source})
    _, _, text = command("build", "plugin.py", cwd=tmp_path).stdout.partition("In falco.yaml:\n\n")
    shown = yaml.safe_load(text.partition("\n\n")[0])
    (plugin,) = shown["plugins"]
    assert plugin["init_config"] == config
    assert shown["load_plugins"] == [plugin["name"]]


@pytest.mark.parametrize(
    ("sources", "rules"),
    [
        ('("shop", "other")', "Rules on its fields need:\n\n  source: shop\n  source: other\n"),
        ("()", "Rules on its fields say the source of the events, such as:\n\n  source: k8s_audit\n"),
    ],
    ids=["named", "every"],
)
def test_build_says_that_a_plugin_without_a_source_is_loaded_beside_one(
    tmp_path: Path, sources: str, rules: str
) -> None:
    write_sources(tmp_path, {"tally.py": TALLY.replace('("shop", "other")', sources)})
    ran = command("build", "tally.py", cwd=tmp_path)
    assert "\nload_plugins: [SOURCE, tally]  # SOURCE: the plugin that its events come from\n" in ran.stdout
    assert "open_params" not in ran.stdout
    assert ran.stdout.endswith(rules)


def test_output_may_be_a_file_or_a_folder(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple("placed")})
    (tmp_path / "folder").mkdir()
    for output in ("folder", "other.so"):
        assert command("build", "plugin.py", "-o", output, cwd=tmp_path).status == 0
    assert (tmp_path / "folder" / "libplaced.so").read_bytes() == (tmp_path / "other.so").read_bytes()


# --python


def test_build_for_the_same_python_makes_the_same_library(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple("same")})
    for words in (["-o", "a.so"], ["-o", "b.so", "--python", sys.executable]):
        ran = command("build", "plugin.py", *words, cwd=tmp_path)
        assert ran.status == 0, ran.stderr
    assert (tmp_path / "a.so").read_bytes() == (tmp_path / "b.so").read_bytes()


def test_build_for_a_python_without_the_sdk_says_how_to_install_it(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple("other")})
    python = tmp_path / "bare" / "bin" / "python"
    assert run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare").status == 0
    ran = command("build", "plugin.py", "--python", python, cwd=tmp_path)
    check_refused(ran, f"--python {python} has no falco-plugin-sdk", "-m pip install falco-plugin-sdk")
    assert not (tmp_path / "libother.so").exists()


def test_build_for_a_program_that_is_not_there_says_so(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple("other")})
    ran = command("build", "plugin.py", "--python", f"{MISSING}/python", cwd=tmp_path)
    check_refused(ran, f"--python {MISSING}/python: no such program: give the path of an environment's Python")


# Libraries that run refuses

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


def foreign(folder: Path, version: str) -> Path:
    """A plugin library that is not of this SDK."""
    (folder / "foreign.c").write_text(FOREIGN.format(version=version))
    library = folder / "libforeign.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, folder / "foreign.c"], check=True)
    return library


def test_a_library_of_another_sdk_runs_too(tmp_path: Path) -> None:
    (end,) = native(foreign(tmp_path, "3.0.0"))
    assert (end["result"], end["events"]) == ("eof", 0)


@pytest.mark.parametrize("subcommand", ["run", "info"])
@pytest.mark.parametrize("version", ["3.99.0", "4.0.0", "2.0.0"])
def test_an_api_version_that_the_host_has_not_is_refused(tmp_path: Path, subcommand: str, version: str) -> None:
    ran = command(subcommand, foreign(tmp_path, version))
    check_refused(ran, f"the plugin needs plugin API {version}, but this host has 3.", by="falco-plugin-host")


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    ran = command("run", "nothing.so", cwd=tmp_path)
    check_refused(ran, f"cannot open {tmp_path / 'nothing.so'}: No such file", by="falco-plugin-host")


def test_a_missing_python_target_is_named(tmp_path: Path) -> None:
    check_refused(
        command("run", "nothing.py", cwd=tmp_path),
        "nothing.py: no such file or folder: give path.py[:Name], a folder, or a library",
    )


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"just text\n" * 10], ids=["empty", "header", "text"])
def test_a_file_that_is_no_library_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file.so"
    file.write_bytes(content)
    check_refused(command("run", file), f"{file} is not a shared library", by="falco-plugin-host")


def test_a_library_that_is_no_plugin_is_refused_naming_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "other.c").write_text("int other(void) { return 1; }\n")
    library = tmp_path / "libother.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "other.c"], check=True)
    ran = command("run", library)
    check_refused(ran, f"{library} is not a Falco plugin: it lacks ", "plugin_init", by="falco-plugin-host")


def test_a_library_for_another_architecture_is_refused_naming_both(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple("other"))
    number, name = (183, "aarch64") if platform.machine() != "aarch64" else (62, "x86_64")
    content = bytearray(library.read_bytes())
    content[18:20] = number.to_bytes(2, "little")
    library.write_bytes(content)
    ran = command("run", library)
    check_refused(ran, f"{library} was built for {name}, but this machine is {platform.machine()}", by="falco-plugin-host")


# run

RUN = """
    from falco_plugin import EOF, Plugin, source

    class Runs(Plugin):
        name = "runs"
        event_source = "run_source"

        def open(self, params):
            self.log.warning("opened %s with %s", params, self.config)
            items = iter([b"plain", b"\\xff\\x00", 'a "quoted" ü\\n'.encode(), b""])

            def pull(context, writer):
                for item in items:
                    writer.write(item)
                    writer.timestamp = 1_700_000_000_123_456_789
                    return
                raise EOF

            return source.PullInstance(pull)

        def event_to_string(self, event):
            return f"<{event.number}>"
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("runs"), RUN, "runs")


def test_json_lines_have_the_documented_keys(runs: Path) -> None:
    lines = native(runs, "--config", "ç", "--params", " p ")
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


def test_text_is_an_event_a_line_with_the_rest_on_stderr(runs: Path) -> None:
    ran = command("run", runs)
    assert ran.status == 0
    assert [line.rsplit(" ", 1)[1] for line in ran.stdout.splitlines()] == ["<1>", "<2>", "<3>", "<4>"]
    assert all(line.startswith("2023-11-14") for line in ran.stdout.splitlines())
    assert "[warning] opened" in ran.stderr
    assert re.fullmatch(
        r"4 events, 21 bytes, \d\.\d{3} s(, \d+ events/s)?: the source ended", ran.stderr.splitlines()[-1]
    )
    one = command("run", runs, "--limit", 1).stderr.splitlines()[-1]
    assert one.startswith("1 event, 5 bytes, ")


def test_a_python_target_runs_as_its_library_does(runs: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": RUN})
    found = native(tmp_path / "plugin.py")
    assert [line for line in found if line["kind"] != "end"] == [line for line in native(runs) if line["kind"] != "end"]
    assert [file.name for file in tmp_path.iterdir()] == ["plugin.py"], "the library of the occasion is gone"


@pytest.mark.parametrize("limit", [1, 3, 4, 5])
def test_limit_stops_after_so_many_events(runs: Path, limit: int) -> None:
    lines = native(runs, "--limit", str(limit))
    assert len([line for line in lines if line["kind"] == "event"]) == min(limit, 4)
    assert lines[-1]["events"] == min(limit, 4)
    assert lines[-1]["result"] == ("limit" if limit <= 4 else "eof")


def test_a_limit_ends_an_endless_source(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple("endless", events="__import__('itertools').repeat(b'again')"))
    lines = native(library, "--limit", "1000")
    assert (lines[-1]["events"], lines[-1]["result"]) == (1000, "limit")


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_below_1_is_a_usage_error(runs: Path, limit: str) -> None:
    ran = command("run", runs, "--limit", limit)
    assert ran.status == 2
    assert "--limit" in ran.stderr


def test_a_failure_is_told_after_the_events(tmp_path: Path) -> None:
    body = simple("fails").replace("raise EOF", "raise ValueError('no more')")
    ran = command("run", "--json", build_plugin(tmp_path, body))
    assert ran.status == 1
    kinds = [line["kind"] for line in ran.lines]
    assert [kind for kind in kinds if kind != "log"] == ["event", "event", "end"]
    assert ran.lines[-1]["result"] == "failure"
    assert ran.lines[-1]["error"].startswith("next_batch failed: ValueError: no more (plugin.py:")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("falco-plugin-host: next_batch failed: ValueError: no more")


@pytest.mark.parametrize("where", ["init", "open"])
def test_a_failed_start_is_one_line_with_the_cause(tmp_path: Path, where: str) -> None:
    arguments = {"init": "(self)", "open": "(self, params)"}[where]
    library = build_plugin(tmp_path, simple("fails", f"def {where}{arguments}:\n    raise OSError('no start')\n"))
    ran = command("run", "--json", library)
    assert ran.status == 1
    assert ran.lines[-1]["error"].startswith(f"{where} failed: OSError: no start (plugin.py:")
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
def test_ctrl_c_closes_the_source_and_prints_the_totals(tmp_path: Path, form: str) -> None:
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
        # As a terminal does it: to all processes of the group.
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


def test_a_reader_that_goes_away_ends_the_run_quietly(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple("endless", events="__import__('itertools').repeat(b'again' * 100)"))
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
def test_a_crash_of_the_plugin_is_told_with_its_signal(tmp_path: Path, code: str, name: str, number: int) -> None:
    source = simple("crashes").replace("raise EOF", f"import ctypes, os, resource; {code}")
    ran = command("run", "--json", build_plugin(tmp_path, source), cwd=tmp_path)
    assert ran.status == 1
    told = [line for line in ran.stderr.splitlines() if line.startswith("falco-plugin: ")]
    assert told == [f"falco-plugin: the plugin crashed the host with {name} (signal {int(number)})"]
    assert "Traceback" not in ran.stderr
    # The line of the plugin that was running; SIGKILL leaves nobody to say it.
    stack = re.search(r'most recent call first.*/plugin.py", line \d+ in pull$', ran.stderr, re.DOTALL | re.MULTILINE)
    assert bool(stack) == (number != signal.SIGKILL), ran.stderr


# Fields

SHOP = """
    from __future__ import annotations

    from dataclasses import dataclass, field as default
    from datetime import datetime, timedelta
    from ipaddress import IPv4Address, IPv6Address, IPv4Network
    from typing import TYPE_CHECKING, Annotated

    from msgspec import Meta

    from falco_plugin import Plugin, field, json_field

    if TYPE_CHECKING:
        from falco_plugin import Event

    @dataclass
    class Tls:
        key: str
        ciphers: list[str] = default(default_factory=list)

    @dataclass
    class Config:
        limit: Annotated[int, Meta(ge=1, le=100, description="Orders at a time")] = 3
        token: str = ""
        tls: Tls | None = None

    class Shop(Plugin):
        name = event_source = "shop"
        config: Config
        order = json_field("shop.order", "/order", type=int, desc="Order", add_output=True)
        items = json_field("shop.items", "/items/{index|*}", type=list[str], desc="Items", display="All items")
        any = json_field("shop.any", "{pointer}", desc="Any", hidden=True)
        when = json_field("shop.when", "/when", type=datetime, desc="When")
        ip = json_field("shop.ip", "/ip", type=IPv4Address | IPv6Address, desc="From")

        @field("shop.paid", desc="Paid", info=True)
        def paid(self, event: Event) -> bool:
            return "paid" in event.json

        @field("shop.took", desc="How long")
        def took(self, event: Event) -> timedelta:
            return timedelta(seconds=event.json["order"] / 2)

        @field("shop.net", desc="Networks")
        def net(self, event: Event) -> list[IPv4Network]:
            return [IPv4Network("10.0.0.0/8")]

        @field("shop.never", desc="Absent")
        def never(self, event: Event, index: int | None = None, key: str | None = None) -> str | None:
            return f"{index} {key}" if key else None

        def open(self, params):
            self.log.info("limit %d", self.config.limit)
            return [
                b'{"order": 1, "items": ["a", "b, c"], "when": "2020-01-01T00:00:00Z", "ip": "::1"}',
                b'{"order": 2, "paid": 1, "items": [], "a b": "tab\\\\tand\\\\nline"}',
            ]
"""

TALLY = """
    from falco_plugin import Plugin, field

    class Tally(Plugin):
        name = "tally"
        extract_event_sources = ("shop", "other")

        @field("tally.bytes", desc="Size of the event")
        def bytes(self, event) -> int:
            return len(event.data)
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("shop"), SHOP, "shop")


def extracted(*words: object) -> list[dict[str, object]]:
    return [line["fields"] for line in native(*words) if line["kind"] == "event"]


def test_all_fields_are_in_the_json_of_each_event(shop: Path) -> None:
    lines = native(shop, "--all-fields")
    assert lines[0]["kind"] == "fields"
    assert {told["asked"]: (told["type"], told["is_list"], told["plugin"]) for told in lines[0]["fields"]} == {
        "shop.order": ("uint64", False, "shop"),
        "shop.items": ("string", True, "shop"),
        "shop.when": ("abstime", False, "shop"),
        "shop.ip": ("ipaddr", False, "shop"),
        "shop.paid": ("bool", False, "shop"),
        "shop.took": ("reltime", False, "shop"),
        "shop.net": ("ipnet", True, "shop"),
        "shop.never": ("string", False, "shop"),
    }
    common = {"shop.net": ["10.0.0.0"], "shop.never": None}
    assert [line["fields"] for line in lines if line["kind"] == "event"] == [
        {
            **common,
            "shop.order": 1,
            "shop.items": ["a", "b, c"],
            "shop.when": 1_577_836_800_000_000_000,
            "shop.ip": "::1",
            "shop.paid": False,
            "shop.took": 500_000_000,
        },
        {
            **common,
            "shop.order": 2,
            "shop.items": None,
            "shop.when": None,
            "shop.ip": None,
            "shop.paid": True,
            "shop.took": 1_000_000_000,
        },
    ]
    assert lines[-1]["never_present"] == ["shop.never"]


def test_fields_are_columns_after_the_text(shop: Path) -> None:
    names = ["--fields", "shop.items,shop.when,shop.never", "--fields", "shop.any['/a b'], shop.took"]
    ran = command("run", shop, *names)
    first, second = (line.split("\t")[1:] for line in ran.stdout.splitlines())
    assert first == [
        "shop.items=(a,b, c)",
        "shop.when=1577836800000000000",
        "shop.never=<NA>",
        "shop.any['/a b']=<NA>",
        "shop.took=500000000",
    ]
    assert second[3:] == ["shop.any['/a b']=tab\\tand\\nline", "shop.took=1000000000"]
    assert ran.stderr.splitlines()[-1] == "never present: shop.never"


@pytest.mark.parametrize(
    ("asked", "value"),
    [
        ("shop.items[1]", ["b, c"]),
        ("shop.items[7]", None),
        ("shop.any[/items/0]", "a"),
        ('shop.any["/order"]', "1"),
        ("shop.never[x,y]", "None x,y"),
        ("shop.never[12]", "12 12"),
        ("shop.never[012]", "None 012"),
        ("shop.never['a ] \\' b']", "None a ] ' b"),
    ],
)
def test_arguments_are_written_as_in_rules(shop: Path, asked: str, value: object) -> None:
    assert extracted(shop, "--limit", 1, "--fields", asked) == [{asked: value}]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("shop.itms", "no loaded plugin has the field shop.itms: did you mean shop.items?"),
        ("shop.any", "the field shop.any needs an argument: shop.any[key]"),
        ("shop.order[1]", "the field shop.order takes no argument"),
        ("order", "no loaded plugin has the field order: did you mean shop.order?"),
        ("shop.items[x]", 'takes an index, which "x" is not: write a whole number from 0 to 2**64 - 1'),
        ("shop.items[-1]", 'takes an index, which "-1" is not: write a whole number from 0 to 2**64 - 1'),
        ("shop.items[1", "shop.items[…]: the bracket is not closed"),
        ("shop.any['/a]", "shop.any[…]: the quote is not closed"),
        ("tally.bytes", "no loaded plugin has the field tally.bytes: falco-plugin info lists the fields"),
    ],
)
def test_a_field_that_there_is_not_is_told_before_anything_runs(shop: Path, asked: str, told: str) -> None:
    check_refused(command("run", shop, "--fields", asked), told, by="falco-plugin-host")


def test_fields_of_further_plugins_are_extracted_too(shop: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"tally.py": TALLY, "same.py": TALLY.replace('("shop", "other")', '("other",)')})
    target = tmp_path / "tally.py"
    expected = [{"tally.bytes": 81, "shop.order": 1}, {"tally.bytes": 61, "shop.order": 2}]
    assert extracted(shop, "--with", target, "--fields", "tally.bytes,shop.order") == expected
    library = build_plugin(tmp_path, TALLY, "tally")
    assert extracted(shop, "--with", library, "--fields", "tally.bytes,shop.order") == expected
    assert "tally.bytes" in extracted(shop, "--with", library, "--all-fields")[0]
    refused = command("run", shop, "--with", tmp_path / "same.py", "--fields", "tally.bytes")
    check_refused(refused, "the plugin tally extracts it only from other", by="falco-plugin-host")
    refused = command("run", shop, "--with", shop.with_name("nothing.py"))
    check_refused(refused, "nothing.py: no such file or folder: give path.py[:Name], a folder, or a library")


TUNED = """
    from dataclasses import dataclass

    from falco_plugin import Plugin, field

    @dataclass
    class Config:
        word: str

    class Tuned(Plugin):
        name = "tuned"
        config: Config

        @field("tuned.word", desc="The word")
        def word(self, event) -> str:
            return self.config.word
"""


def test_a_further_plugin_gets_the_configuration_of_its_place(shop: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"tally.py": TALLY})
    tuned = build_plugin(tmp_path, TUNED, "tuned")
    words = ["--with", tmp_path / "tally.py", "--with", tuned, "--fields", "tuned.word", "--limit", 1]
    config = ["--with-config", "", "--with-config", '{"word": "here"}']
    assert extracted(shop, *words, *config) == [{"tuned.word": "here"}]
    told = "the configuration of the plugin tuned does not match its schema: word: required (falco-plugin info shows"
    for few in ([], config[:2]):
        check_refused(command("run", shop, *words, *few), told, by="falco-plugin-host")
    wrong = command("run", shop, *words, "--with-config", "", "--with-config", '{"word": ["SECRET"]}')
    check_refused(wrong, "of the plugin tuned does not match its schema: word: expected string", by="falco-plugin-host")
    assert "SECRET" not in wrong.stderr
    many = command("run", shop, "--with", tuned, *config)
    assert many.status == 2
    assert "there are more --with-config than --with" in many.stderr


def test_a_further_plugin_that_is_not_for_the_source_is_missed(shop: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"tally.py": TALLY.replace('("shop", "other")', '("shp", "other")')})
    told = "the plugin tally has no fields for the source shop: it names shp, other"
    words = [shop, "--with", tmp_path / "tally.py", "--all-fields"]
    ran = command("run", *words)
    assert ran.status == 0
    assert told in ran.stderr.splitlines()
    assert {"kind": "log", "severity": "warning", "text": told} in native(*words)


def test_a_plugin_that_only_extracts_needs_one_with_a_source(tmp_path: Path, runs: Path) -> None:
    library = build_plugin(tmp_path, TALLY, "tally")
    refused = command("run", library)
    check_refused(
        refused, "tally has no event source to run: run a plugin that has one, and add this one by --with", by="falco-plugin-host"
    )
    refused = command("run", library, "--with", runs)
    check_refused(refused, "tally has no event source to run", by="falco-plugin-host")
    bare = build_plugin(tmp_path, simple("bare", "id = 2**30"), "bare")
    refused = command("run", runs, "--with", bare)
    check_refused(refused, "the plugin bare has no fields to extract: leave it out", by="falco-plugin-host")


# Configuration


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("{", "is not JSON"),
        ("SECRET", "is not JSON"),
        ("[]", "expected object, got array"),
        ('{"limit": "SECRET"}', "schema: limit: expected integer, got string"),
        ('{"limit": 0}', "schema: limit: expected at least 1"),
        (
            '{"limit": 101, "tokn": "SECRET", "tls": {"ciphers": ["a", 5]}}',
            "schema: limit: expected at most 100; tls.ciphers[1]: expected string, got number; tls.key: required; "
            "tokn: unknown key (known: limit, token, tls)",
        ),
        ('{"tls": "SECRET"}', "schema: tls: expected object or null, got string"),
    ],
)
def test_a_configuration_that_does_not_fit_is_told_before_init(shop: Path, config: str, told: str) -> None:
    ran = command("run", shop, "--config", config)
    check_refused(ran, "the configuration of the plugin shop", told, by="falco-plugin-host")
    assert "SECRET" not in ran.stderr


@pytest.mark.parametrize(("config", "limit"), [("", 3), (" \n", 3), ("{}", 3), ('{"limit": 7, "tls": null}', 7)])
def test_a_configuration_that_fits_is_the_plugin_s(shop: Path, config: str, limit: int) -> None:
    (log,) = (line["text"] for line in native(shop, "--config", config) if line["kind"] == "log")
    assert log == f"limit {limit}"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            '{"period": "SECRET"}',
            "period: expected integer, got string; url: required (falco-plugin info shows the keys)",
        ),
        ('{"period": "SECRET", "url": "x"}', "period: expected integer, got string"),
    ],
)
def test_a_key_that_is_missing_comes_with_where_to_find_them(tmp_path: Path, config: str, told: str) -> None:
    write_sources(tmp_path, {"plugin.py": REQUIRES})
    ran = command("run", "plugin.py", "--config", config, cwd=tmp_path)
    assert ran.stderr.endswith(f"does not match its schema: {told}\n")


def test_info_has_fields_and_configuration_as_tables(shop: Path, tmp_path: Path) -> None:
    lines = command("info", shop).stdout.splitlines()
    fields = lines.index("fields:")
    assert lines[fields + 1 : fields + 4] == [
        "  name        type      arg                     properties  display    desc",
        "  shop.order  uint64                            add_output             Order",
        "  shop.items  string[]  index, optional                     All items  Items",
    ]
    assert "  shop.any    string    key, required           hidden                 Any" in lines
    assert "  shop.never  string    index or key, optional                         Absent" in lines
    config = lines.index("config:")
    assert lines[config + 1 :] == [
        "  key          type             required  default  allowed   description",
        "  limit        integer                    3        1 to 100  Orders at a time",
        '  token        string                     ""',
        "  tls          object or null             null",
        "  tls.key      string           yes",
        "  tls.ciphers  array of string            []",
    ]
    (told,) = command("info", shop, "--json").lines
    assert told["schema"]["properties"]["limit"]["maximum"] == 100
    assert "extract event sources:" in command("info", build_plugin(tmp_path, TALLY, "tally")).stdout


def test_info_leaves_out_what_is_empty(runs: Path, tmp_path: Path) -> None:
    assert not [line for line in command("info", runs).stdout.splitlines() if line.rstrip().endswith(":")]
    contact = build_plugin(tmp_path, simple("told", "contact = 'me'"), "told")
    assert "contact:               me\n" in command("info", contact).stdout


def test_info_shows_what_the_plugin_says_of_itself(runs: Path, tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": RUN})
    (library,) = command("info", runs, "--json").lines
    (target,) = command("info", tmp_path / "plugin.py", "--json").lines
    assert library == target
    assert (library["name"], library["id"], library["event_source"]) == ("runs", 999, "run_source")
    text = command("info", runs)
    assert text.status == 0
    assert "run_source" in text.stdout


def test_sigterm_to_the_command_ends_the_source_in_good_order(tmp_path: Path) -> None:
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
