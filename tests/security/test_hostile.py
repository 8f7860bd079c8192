"""Attacks on the host, the SDK and other plugins. The page docs/explanation/hostile.md describes them."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support import appended
from support.embedded import Library
from support.events import SUCCESS, encode_event
from support.hosts import Output, c_host_path, cycle_payloads, init_error, native_path, run, run_command
from support.libraries import KIND, build_plugin, simple_plugin, write_sources
from support.paths import REPOSITORY

from falco_plugin import _core
from falco_plugin._runtime import archive as _archive
from falco_plugin.source import LinesInstance, Timeout

PAYLOADS = [b"one", b"two"]

# Hostile plugins


def attack(code: str) -> str:
    """Returns the code of a plugin that runs the code in `init` and then delivers two events."""
    return simple_plugin("hostile", "def init(self):\n" + textwrap.indent(textwrap.dedent(code), "    "))


@pytest.fixture
def run_with_honest(tmp_path: Path):
    """Returns a function that runs a hostile and an honest plugin in one host and counts the events of each."""

    def run_with_honest(code: str) -> tuple[Output, list[int]]:
        hostile = build_plugin(tmp_path, attack(code), "hostile")
        honest = build_plugin(tmp_path, simple_plugin("honest"), "honest")
        ran = run(c_host_path(), "interleave", hostile, honest, "")
        return ran, ran.values("events")

    return run_with_honest


HARMLESS = {
    "closes all descriptors": """
        import os
        for number in range(3, 1024):
            try:
                os.close(number)
            except OSError:
                pass
    """,
    "sets the limit of descriptors to 0": "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))",
    "breaks the import of other modules": "import sys; sys.meta_path[:] = sys.path[:] = sys.path_hooks[:] = []",
    "changes the folder, the locale and the environment": """
        import locale, os
        os.chdir("/proc")
        locale.setlocale(locale.LC_ALL, "C")
        os.environ.clear()
        os.umask(0)
    """,
    "removes logging, hooks and streams": """
        import logging, sys, threading, warnings
        warnings.simplefilter("error")
        logging.disable(100)
        logging.shutdown()
        sys.excepthook = sys.unraisablehook = threading.excepthook = sys.stdout = sys.stderr = None
    """,
    "switches threads constantly and disables garbage collection": """
        import gc, sys
        sys.setswitchinterval(1e-9)
        gc.disable()
        gc.freeze()
    """,
    "leaves destructors that raise and exit": """
        class Exits:
            def __del__(self):
                raise SystemExit(4)
        self.kept = [Exits(), Exits()]
    """,
    "starts threads that never end and catch everything": """
        import threading
        def spin():
            while True:
                try:
                    sum(range(1000))
                except BaseException:
                    pass
        for _ in range(8):
            threading.Thread(target=spin).start()
    """,
    "uses all memory": """
        import resource, threading
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        limit = resource.getrlimit(resource.RLIMIT_AS)
        def eat():
            eaten = []
            while True:
                eaten.append(bytearray(1 << 20))
        resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), limit[1]))
        eater = threading.Thread(target=eat)
        eater.start()
        eater.join()
    """,
}


LIMITED = {
    "uses all memory": pytest.mark.no_asan,
    "sets the limit of descriptors to 0": pytest.mark.linked("a second interpreter needs descriptors to start"),
}


@pytest.mark.parametrize(
    "code", [pytest.param(code, id=name, marks=LIMITED.get(name, ())) for name, code in HARMLESS.items()]
)
def test_plugin_that_spoils_process_does_not_stop_plugins(run_with_honest, code: str) -> None:
    ran, events = run_with_honest(code)
    assert ran.status == 0, ran.stdout + ran.stderr
    assert events == [2, 2]


FAILING = {
    "exits": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "recurses infinitely": ("def call():\n    call()\ncall()", "RecursionError"),
    "traces every call, and raises": (
        "import sys\ndef trace(*_):\n    raise ValueError('trace')\nsys.settrace(trace)\n(lambda: 0)()",
        "ValueError: trace",
    ),
    "handles Falco's signals": (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "ValueError: signal only works in main thread",
    ),
}


@pytest.mark.parametrize(("code", "error"), FAILING.values(), ids=FAILING)
def test_plugin_that_ends_process_gets_error(run_with_honest, code: str, error: str) -> None:
    ran, events = run_with_honest(code)
    assert events == [0, 2]
    assert error in ran.stdout


SABOTAGE = {
    "replaces builtins": """
        import builtins
        for name in ("len", "isinstance", "hasattr", "getattr", "type", "open", "Exception"):
            setattr(builtins, name, None)
    """,
    "empties sys.modules": "import sys; sys.modules.clear()",
    "replaces the SDK's functions": """
        from falco_plugin._runtime import failures, log, runtime
        for module in (failures, log, runtime):
            for name in [name for name in vars(module) if not name.startswith("__")]:
                setattr(module, name, None)
    """,
    "deletes the SDK's exceptions": """
        from falco_plugin import errors
        for name in [name for name in vars(errors) if not name.startswith("__")]:
            delattr(errors, name)
    """,
    "raises in an audit hook": """
        import sys
        def reject(*_):
            raise RuntimeError("audit")
        sys.addaudithook(reject)
    """,
}


@pytest.mark.parametrize("code", SABOTAGE.values(), ids=SABOTAGE)
def test_plugin_that_breaks_python_gets_errors(run_with_honest, code: str) -> None:
    # Other plugins share the interpreter and may fail too.
    ran, _ = run_with_honest(code)
    assert ran.status in {0, 1}, ran.stderr
    ends = ran.values("end")
    assert len(ends) == 2
    assert set(ends) <= {"eof", "failure"}


FATAL = {
    "os._exit(3)": (3, ""),
    "os.abort()": (1, "the plugin crashed the host with SIGABRT"),
    "os.kill(os.getpid(), 9)": (1, "the plugin crashed the host with SIGKILL"),
    "ctypes.string_at(0)": (1, "the plugin crashed the host with SIGSEGV"),
}


@pytest.mark.parametrize("code", FATAL)
def test_command_reports_plugin_that_kills_process(tmp_path: Path, code: str) -> None:
    write_sources(tmp_path, {"hostile.py": attack(f"import ctypes, os\n{code}")})
    ran = run_command("run", tmp_path / "hostile.py")
    status, message = FATAL[code]
    assert ran.status == status
    assert message in ran.stderr


# Hostile libraries


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return build_plugin(tmp_path, simple_plugin("good"), "good")


# Functions that change the correct offset and the lengths of manifest and archive.
LENGTHS = {
    "a manifest of 1 GiB": lambda offset, manifest, archive: (offset, 1 << 30, archive),
    "lengths that add up by overflowing": lambda offset, manifest, archive: (
        offset,
        2**64 - 10,
        manifest + archive + 10,
    ),
    "an archive larger than memory": lambda offset, manifest, archive: (offset, manifest, 2**64 - 1),
    "an offset below zero": lambda offset, manifest, archive: (2**63, manifest, archive),
    "an offset after the end": lambda offset, manifest, archive: (1 << 40, manifest, archive),
}


@pytest.mark.parametrize("change", LENGTHS.values(), ids=LENGTHS)
def test_wrong_lengths_are_reported_as_damage(good: Path, change: Callable[..., tuple[int, int, int]]) -> None:
    library = bytearray(good.read_bytes())
    parts = appended.read(library)
    offset, manifest, archive = change(parts.offset, parts.manifest, parts.archive)
    appended.write(library, parts._replace(offset=offset, manifest=manifest, archive=archive))
    good.write_bytes(library)
    assert appended.DAMAGED in init_error(good)


def replace_archive(library: bytearray, packed: bytes) -> None:
    """Writes length and hash of another archive, which the caller then writes instead of the first one."""
    parts = appended.read(library)
    manifest = bytes(library[parts.offset : parts.archive_start])
    appended.write(library, parts._replace(archive=len(packed), hash=_core.blake3(manifest + packed)))


def with_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Returns a library whose archive has extra files, with a correct hash."""
    path = build_plugin(folder, simple_plugin("laden"), "laden")
    library = bytearray(path.read_bytes())
    parts = appended.read(library)
    start, end = parts.archive_start, parts.bundle_start
    packed = _archive.pack({**_archive.unpack(bytes(library[start:end])), **files})
    replace_archive(library, packed)
    path.write_bytes(library[:start] + packed + library[end:])
    return path


def test_archive_names_create_no_files(tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    names = [f"../{outside.name}", str(outside), f"a/../../{outside.name}", "a//b.py", "\n.py", "é.py", ".", "x" * 5000]
    library = with_files(tmp_path, dict.fromkeys(names, b"raise SystemExit('planted')"))
    before = sorted(tmp_path.iterdir())
    ran = run(c_host_path(), "log", library, "", "", cwd=tmp_path)
    assert cycle_payloads(ran) == PAYLOADS
    assert sorted(tmp_path.iterdir()) == before


def test_archive_shadows_modules_only_for_its_plugin(tmp_path: Path) -> None:
    shadows = ("os", "sys", "encodings/__init__", "json/__init__", "typing", "falco_plugin/__init__")
    library = with_files(tmp_path, {f"{name}.py": b"raise SystemExit('shadowed')" for name in shadows})
    honest = build_plugin(tmp_path, simple_plugin("honest", "import json, os, typing"), "honest")
    ran = run(c_host_path(), "interleave", library, honest, "")
    assert ran.values("events") == [0, 2]
    assert "SystemExit: shadowed" in ran.stdout


@pytest.mark.parametrize(
    "tail",
    [
        b"PK\x03\x04" + b"\xff" * 100,
        b"PK\x03\x04",
        b"PK\x03\x04" + b"\0" * 26,
        b"\xff" * 1000,
    ],
    ids=["lengths of 4 GiB", "cut", "no name", "no archive"],
)
def test_invalid_archive_fails_in_init(good: Path, tail: bytes) -> None:
    library = bytearray(good.read_bytes())
    replace_archive(library, tail)
    good.write_bytes(library[: appended.read(library).archive_start] + tail)
    assert init_error(good)


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_command_rejects_special_file_as_library(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "fifo.so"
    os.mkfifo(path)
    target = path if kind == "fifo" else Path("/dev/zero")
    ran = run(native_path(), "info", target)
    assert ran.status == 1
    assert ran.stderr.endswith(f"{target} is not a shared library\n")


def test_build_packs_only_files_of_folder(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('"the secret"')
    folder = write_sources(tmp_path / "plugin", {"plugin.py": simple_plugin("leaking"), "inside.json": "1"})
    (folder / "also_inside.json").symlink_to("inside.json")
    assert run_command("build", *KIND, folder, "-o", tmp_path / "fine.so").status == 0
    (folder / "settings.json").symlink_to(secret)
    ran = run_command("build", *KIND, folder, "-o", tmp_path / "leaking.so")
    assert ran.status == 1
    assert "settings.json is a link that leads out of " in ran.stderr
    assert not (tmp_path / "leaking.so").exists()


def test_build_does_not_block_on_special_files(tmp_path: Path) -> None:
    folder = write_sources(tmp_path / "plugin", {"plugin.py": simple_plugin("waiting")})
    os.mkfifo(folder / "data.json")
    ran = run_command("build", *KIND, folder, "-o", tmp_path / "waiting.so")
    assert ran.status == 1
    assert "data.json is not a regular file" in ran.stderr


# Hostile inputs

MEGA = 1 << 20
BOMBS = {
    "100 MiB of open brackets": b"[" * (100 * MEGA),
    "objects in objects": b'{"a":' * MEGA,
    "a million members of one name": b"{" + b",".join(b'"a":%d' % number for number in range(10**6)) + b"}",
    "a number of a million digits": b'{"a":' + b"9" * 10**6 + b"}",
    "an exponent of a billion": b'{"a":1e1000000000}',
    "eight million elements": b"[" + b"0," * (8 * MEGA) + b"0]",
    "a key of 8 MiB": b'{"' + b"k" * (8 * MEGA) + b'":1,"a":2}',
    "a million escapes": b'{"a":"' + b"\\u0041" * MEGA + b'"}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "invalid UTF-8": b'{"a":"\xff\xfe\xc0\x80"}',
    "NUL in and after the document": b'{"a":"x\\u0000y"}\0\0',
    "8 MiB of spaces": b" " * (8 * MEGA),
    "an empty payload": b"",
}

READER = """
    from falco_plugin import Event, Plugin, field, json_field


    class Reader(Plugin):
        name = "reader"
        extract_event_sources = ["test"]

        text = json_field("reader.text", "/a", desc="Text")
        number = json_field("reader.number", "/a", type=int, desc="Number")

        @field("reader.all", desc="The type of the whole document")
        def all(self, event: Event) -> str:
            return type(event.json).__name__
"""


@pytest.mark.slow
def test_payloads_do_not_break_extraction(tmp_path: Path) -> None:
    with Library(build_plugin(tmp_path, READER, "reader")) as library:
        for number, (name, payload) in enumerate(BOMBS.items(), 1):
            event = encode_event(payload)
            for field in ("reader.text", "reader.number", "reader.all"):
                assert library.extract(event, field, number).code == SUCCESS, name
        assert library.extract(encode_event(b'{"a": 7}'), "reader.number", 99).values == [7]
        # Only faults of payloads are logged.
        assert all("not valid JSON" in text or text.startswith("field reader.") for _, text in library.logs)


def wait_for_lines(instance: LinesInstance, count: int) -> list[bytes]:
    """Waits for the number of lines and returns them."""
    found: list[bytes] = []
    while len(found) < count:
        batch = instance.events
        batch.clear()
        try:
            instance.next_batch(batch)
        except Timeout:
            continue
        found += [batch[index].data for index in range(len(batch))]
    return found


SPECIAL_FILES = {"fifo": os.mkfifo, "device": lambda path: path.symlink_to("/dev/zero")}


@pytest.mark.parametrize("make", SPECIAL_FILES.values(), ids=SPECIAL_FILES)
def test_followed_log_ignores_special_files(tmp_path: Path, make: Callable[[Path], None]) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(b"one\n")
    instance = LinesInstance(log, follow=True, timeout=0.01)
    assert wait_for_lines(instance, 1) == [b"one"]
    make(tmp_path / "other")
    (tmp_path / "other").replace(log)
    # Each call returns, without data of the special file.
    for _ in range(5):
        with pytest.raises(Timeout):
            instance.next_batch(instance.events)
    (tmp_path / "new").write_bytes(b"two\n")
    (tmp_path / "new").replace(log)
    assert wait_for_lines(instance, 1) == [b"two"]
    instance.close()


# Documentation


def test_documented_tests_exist() -> None:
    for page in ("docs/explanation/hostile.md", "SECURITY.md"):
        named = re.findall(r"`((?:tests|plugins)[\w/]*/(test_\w+)\.py)::(test_\w+)`", (REPOSITORY / page).read_text())
        assert named
        for file, _, test in named:
            assert f"def {test}(" in (REPOSITORY / file).read_text(), f"{page}: {file}::{test}"


def test_page_lists_twelve_attacks() -> None:
    page = (REPOSITORY / "docs/explanation/hostile.md").read_text()
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == list(range(1, 13))
