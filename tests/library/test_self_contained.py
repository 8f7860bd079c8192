"""Self-contained libraries: a selection. ``make test-self-contained`` runs all tests of libraries with them."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.embedded import Library
from support.hosts import (
    cycle_end,
    cycle_payloads,
    environment,
    init_error,
    log_messages,
    native_lines,
    run_c_host,
    run_cycle,
)
from support.libraries import ARE_SELF_CONTAINED, build_plugin, simple_plugin

PAYLOADS = [b"one", b"two"]

PLUGIN = """
    import decimal
    import json
    import sys
    import threading

    from falco_plugin import Event, Plugin, field, json_field

    VERSION = "first"


    class Whole(Plugin):
        name = event_source = "whole"
        id = 1_734_560_093
        number = json_field("whole.number", "/number", type=int, desc="The number of the event")

        def init(self):
            threading.Thread(target=threading.Event().wait, daemon=True).start()

        def open(self, params):
            if params == "fails":
                raise ValueError("no such log")
            for number in range(3):
                yield json.dumps({"number": number, "version": VERSION}).encode()

        @field("whole.half", desc="Half of the number")
        def half(self, event) -> str:
            return str(decimal.Decimal(event.json["number"]) / 2)
"""


def build_self_contained(folder: Path, source: str | Mapping[str, str | bytes], name: str = "plugin") -> Path:
    return build_plugin(folder, source, name, self_contained=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_self_contained(tmp_path_factory.mktemp("whole"), PLUGIN, "whole")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_self_contained(tmp_path_factory.mktemp("other"), simple_plugin("other"), "other")


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("linked"), simple_plugin("linked"), "linked", self_contained=False)


def numbers(events: list[bytes]) -> list[tuple[int, str]]:
    return [(event["number"], event["version"]) for event in map(json.loads, events)]


def decode(line: dict) -> list[dict]:
    return [json.loads(base64.b64decode(payload)) for payload in line["payloads"]]


FIRST = [(number, "first") for number in range(3)]


def test_library_delivers_events_and_fields(whole: Path) -> None:
    lines = native_lines(whole, "--fields", "whole.number,whole.half")
    events = [line for line in lines if line["kind"] == "event"]
    assert numbers([event["data"].encode() for event in events]) == FIRST
    assert [event["fields"] for event in events] == [
        {"whole.number": number, "whole.half": half} for number, half in enumerate(["0", "0.5", "1"])
    ]


def test_error_names_line_of_plugin(whole: Path) -> None:
    ran = run_cycle(whole, params="fails")
    assert cycle_end(ran)["error"].startswith("open: ValueError: no such log (whole.py:")
    assert f'File "{whole}/whole.py", line ' in "".join(log_messages(ran))


def test_library_needs_no_environment(whole: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copy(whole, tmp_path / "moved.so"))
    ran = run_cycle(moved, env={"FALCO_PLUGIN_ALLOW_WRITABLE": "1", "PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere"})
    assert numbers(cycle_payloads(ran)) == FIRST


def test_library_leaves_no_file(whole: Path, tmp_path: Path) -> None:
    ran = run_cycle(whole, env=environment(TMPDIR=str(tmp_path)))
    assert numbers(cycle_payloads(ran)) == FIRST
    assert list(tmp_path.iterdir()) == []


def test_library_loads_again_after_unload(whole: Path) -> None:
    ran = run_c_host("cycle", whole, 5, "")
    assert [(line["events"], line["end"]) for line in ran.lines] == [(3, "eof")] * 5


CLOSES_FILES = """
    import os

    from falco_plugin import Plugin


    class Closes(Plugin):
        name = event_source = "closes"
        id = 1_734_560_094

        def init(self):
            os.closerange(3, 1000)
            self.files = [open("/dev/zero") for _ in range(20)]
            import csv
            import sqlite3

        def open(self, params):
            yield b"one"
"""


def test_modules_are_imported_after_all_files_were_closed(tmp_path: Path) -> None:
    library = build_self_contained(tmp_path, CLOSES_FILES)
    ran = run_c_host("cycle", library, 3, "")
    assert [(line["events"], line["end"]) for line in ran.lines] == [(1, "eof")] * 3


def test_import_explains_that_closed_file_was_replaced(tmp_path: Path) -> None:
    library = build_self_contained(
        tmp_path, CLOSES_FILES.replace("os.close", "os.remove(os.path.dirname(__file__)); os.close")
    )
    error = init_error(library)
    assert error.startswith(
        "ImportError: a plugin has closed the file of the library, which is no longer at its path: "
    )


def test_changed_code_runs_after_reload(whole: Path, tmp_path: Path) -> None:
    installed = Path(shutil.copy(whole, tmp_path / "installed.so"))
    changed = build_self_contained(tmp_path, PLUGIN.replace("first", "second"), "whole")
    old, new = run_c_host("replace", installed, changed, "").lines
    decoded = [[event["version"] for event in decode(line)] for line in (old, new)]
    assert decoded == [["first"] * 3, ["second"] * 3]
    assert not old["still_mapped"]


def test_changed_dependencies_start_another_interpreter(tmp_path: Path) -> None:
    source = simple_plugin(
        "changes", "def init(self):\n    import sys\n    self.log.info('%d modules', len(sys.modules))"
    )
    old = build_self_contained(tmp_path, source, "old")
    new = build_self_contained(tmp_path, f"import sqlite3\n{source}", "new")
    ran = run_c_host("replace", old, new, "", env=environment(HOST_LOG="1"))
    assert [line["end"] for line in ran.lines] == ["eof", "eof"]
    assert "changes runs in a new Python" in ran.stderr


@pytest.mark.parametrize("command", ["interleave", "race"])
def test_libraries_have_their_own_interpreters(whole: Path, other: Path, command: str) -> None:
    ran = run_c_host(command, whole, other, "")
    lines = ran.lines if command == "interleave" else ran.lines[0]["race"]
    assert [(line["events"], line["end"]) for line in lines] == [(3, "eof"), (2, "eof")]


def test_library_runs_under_two_names(whole: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(whole, tmp_path / "copy.so"))
    ran = run_c_host("interleave", whole, copy, "")
    assert [(line["events"], line["end"]) for line in ran.lines] == [(3, "eof")] * 2


def test_libraries_of_one_name_run_their_own_code(whole: Path, tmp_path: Path) -> None:
    changed = build_self_contained(tmp_path, PLUGIN.replace("first", "second"), "whole")
    lines = run_c_host("interleave", whole, changed, "").lines
    assert [{event["version"] for event in decode(line)} for line in lines] == [{"first"}, {"second"}]


@pytest.mark.parametrize("order", ["linked first", "self-contained first"])
def test_second_kind_in_process_is_rejected(whole: Path, linked: Path, order: str) -> None:
    libraries = [linked, whole] if order == "linked first" else [whole, linked]
    first, second = run_c_host("interleave", *libraries, "").lines
    assert first["end"] == "eof"
    assert (second["stage"], second["events"]) == ("init", 0)
    assert "--linked" in second["error"]


@pytest.mark.skipif(ARE_SELF_CONTAINED, reason="the Python of these tests is not in the global scope")
def test_library_rejects_process_of_python(whole: Path) -> None:
    library = Library(whole)
    assert library.init_code == 1
    error = library.last_error()
    library.destroy()
    assert "Python" in error
    assert "--linked" in error


def test_forked_child_gets_errors_and_parent_continues(whole: Path) -> None:
    calls = ["init", "open", "fork", "take", "close", "destroy"]
    ran = run_c_host("script", whole, "", "\n".join(calls))
    assert ran.status == 0, ran.stderr
    ends = {line["process"]: line["end"] for line in ran.lines if line.get("call") == "take"}
    assert ends == {"child": "failure", "parent": "eof"}


def test_exit_of_plugin_ends_host(tmp_path: Path) -> None:
    library = build_self_contained(tmp_path, simple_plugin("exits", "def init(self):\n    import os\n    os._exit(3)"))
    assert run_cycle(library).status == 3


def test_library_starts_after_other_plugin_closed_descriptors(tmp_path: Path, whole: Path) -> None:
    # The descriptor of the library's own file is closed too, between its load and its init.
    closes = simple_plugin("closes", "def init(self):\n    import os\n    os.closerange(3, 1024)")
    first, second = run_c_host("interleave", build_self_contained(tmp_path, closes), whole, "").lines
    assert (first["events"], second["events"]) == (2, 3)


COUNTS_PYTHONS = """
    import re
    from pathlib import Path

    from falco_plugin import Plugin


    class Counts(Plugin):
        name = event_source = "counts"
        id = 1_734_560_095

        def open(self, params):
            maps = Path("/proc/self/maps").read_text()
            yield from (name.encode() for name in set(re.findall(r" ([0-9]+) +/.*-libpython", maps)))
"""


def test_concurrent_first_inits_load_one_python(tmp_path: Path) -> None:
    library = build_self_contained(tmp_path, COUNTS_PYTHONS)
    for _ in range(5):
        (line,) = run_c_host("triple", library, "").lines
        assert [(run["events"], run["end"]) for run in line["triple"]] == [(1, "eof")] * 3


@pytest.mark.parametrize("how", ["rename", "write"])
def test_library_may_be_replaced_before_init(whole: Path, tmp_path: Path, how: str) -> None:
    installed = Path(shutil.copy(whole, tmp_path / "installed.so"))
    damaged = Path(shutil.copy(whole, tmp_path / "damaged.so"))
    # Only the bundle differs: the dynamic linker has mapped what is in front of it.
    content = bytearray(whole.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    (line,) = run_c_host("swap", installed, damaged, how, "").lines
    if how == "rename":
        assert (line["events"], line["end"]) == (3, "eof")
    else:
        assert (line["stage"], line["events"]) == ("init", 0)
        assert "was cut, stripped or changed" in line["error"]


def test_import_fails_after_bundle_was_overwritten(tmp_path: Path) -> None:
    source = simple_plugin(
        "overwrites",
        """
        def init(self):
            import os
            path = os.environ["OVERWRITTEN"]
            with open(path, "r+b") as library:
                size = library.seek(0, 2)
                library.seek(size // 4)
                library.write(bytes(size - size // 4))
            try:
                import imaplib, mailbox, sqlite3, xmlrpc.client
            except (ImportError, OSError) as error:
                self.log.info("import failed: %s", error)
        """,
    )
    library = build_self_contained(tmp_path, source)
    ran = run_cycle(library, env=environment(OVERWRITTEN=str(library)))
    assert cycle_payloads(ran) == PAYLOADS
    failed = "import failed: somebody has written into the file of the library while it was loaded: restart Falco, and"
    assert any(text.startswith(failed) for text in log_messages(ran))
