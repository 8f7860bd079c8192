"""The built library as a file: hosts that load it, its symbols, damage, reproducible builds, missing environments."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.embedded import Library
from support.events import payloads_of
from support.hosts import (
    MISSING,
    c_host_lines,
    c_host_path,
    cycle_payloads,
    environment,
    go_loader_lines,
    init_error,
    native_lines,
    native_path,
    run,
    run_command,
    run_cycle,
)
from support.libraries import KIND, build_changed, build_plugin, simple_plugin, write_sources

from falco_plugin import _core
from falco_plugin._build import environment as _environment
from falco_plugin.cli.main import main

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="permissions are checked for root only")

PAYLOADS = [b"plain", "Grüße, 日本語 🦅".encode(), b"\xff\xfe not text \x00", b"", b"x" * 5_000]
SOURCE = f"""
    from falco_plugin import EOF, OpenParam, Plugin, source

    PAYLOADS = {PAYLOADS!r}


    class Same(Plugin):
        '''Grüße aus 東京'''

        name = "same"
        version = "1.2.3"
        id = 4711
        event_source = "same_source"
        contact = "Zoë <zoe@example.org>"

        def open(self, params):
            items = iter(enumerate(PAYLOADS))

            def pull(context, writer):
                for number, payload in items:
                    writer.write(payload)
                    writer.timestamp = 1_700_000_000_000_000_000 + number
                    return
                raise EOF

            return source.PullInstance(pull)

        def event_to_string(self, event):
            return f"№ {{event.number}} {{event.source}} {{event.timestamp}} «{{event.text[:20]}}»"

        def list_open_params(self):
            return [OpenParam("größe", "wie groß", ","), "plain"]
"""
STATIC = {
    "name": "same",
    "version": "1.2.3",
    "description": "Grüße aus 東京",
    "contact": "Zoë <zoe@example.org>",
    "id": 4711,
    "event_source": "same_source",
    "required_api_version": "3.5.0",
}
OPEN_PARAMS = [
    {"value": "größe", "desc": "wie groß", "separator": ","},
    {"value": "plain", "desc": "", "separator": ""},
]
STRINGS = [
    f"№ {number} same_source {1_700_000_000_000_000_000 + number - 1} «{payload.decode('utf-8', 'replace')[:20]}»"
    for number, payload in enumerate(PAYLOADS, 1)
]
EVENTS = [
    (payload, 1_700_000_000_000_000_000 + number, text)
    for number, (payload, text) in enumerate(zip(PAYLOADS, STRINGS, strict=True))
]


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("same"), SOURCE, "libsame")


def c_events(ran) -> list[tuple[bytes, int, str]]:
    return [(base64.b64decode(event["base64"]), event["timestamp"], event["text"]) for event in ran.values("event")]


# Several hosts load one library


def test_c_host_reads_events(same: Path) -> None:
    ran = run_cycle(same)
    assert ran.status == 0, ran.stderr
    # A C string ends at the first NUL, so the SDK replaces NUL.
    assert c_events(ran) == [(data, time, text.replace("\0", "\ufffd")) for data, time, text in EVENTS]
    assert ran.values("end") == ["eof"]
    assert ran.values("late_logs") == [0]


def test_native_host_reads_same_events(same: Path) -> None:
    *events, end = native_lines(same)
    found = [
        (
            event["data"].encode() if "data" in event else base64.b64decode(event["data_base64"]),
            event["timestamp"],
            event["text"],
        )
        for event in events
    ]
    assert found == c_events(run_cycle(same))
    assert (end["kind"], end["result"], end["events"]) == ("end", "eof", len(EVENTS))


def test_go_loader_accepts_library(same: Path) -> None:
    info, init, open_params, end = go_loader_lines(same)
    assert {name: info["info"][name] for name in STATIC} == STATIC
    assert info["info"]["caps"] == {"sourcing": True, "extraction": False, "broken": False, "broken_error": None}
    assert init == {"init": "ok"}
    assert open_params == {"open_params": OPEN_PARAMS}
    assert end == {"end": "unloaded"}


def test_library_can_be_reloaded_100_times(same: Path) -> None:
    linked = subprocess.run(["ldd", str(c_host_path())], capture_output=True, text=True, check=True).stdout
    assert "python" not in linked
    lines = c_host_lines("cycle", same, 100, "")
    assert len(lines) == 100
    assert {(line["events"], line["bytes"], line["end"]) for line in lines} == {
        (len(PAYLOADS), sum(map(len, PAYLOADS)), "eof")
    }


@pytest.mark.parametrize(
    "locale",
    [
        {"LANG": None, "LC_ALL": None, "LC_CTYPE": None, "PYTHONUTF8": None},
        {"LC_ALL": "C", "LANG": None},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "no_SUCH.locale"},
    ],
    ids=["unset", "C", "C-and-ascii", "unknown"],
)
def test_strings_are_utf8_in_any_locale(tmp_path: Path, locale: dict[str, str | None]) -> None:
    source = """
        import locale
        import sys

        from falco_plugin import EOF, Plugin, source


        class Texts(Plugin):
            name = "texts"

            def init(self):
                self.log.info("Konfiguration: %s", self.config)
                print("gedruckt: ñandú")

            def open(self, params):
                texts = iter([self.config, params, sys.getfilesystemencoding(), locale.getpreferredencoding(False)])

                def pull(context, writer):
                    for text in texts:
                        writer.write(text.encode())
                        return
                    raise EOF

                return source.PullInstance(pull)

            def event_to_string(self, event):
                return f"→ {event.text}"
    """
    ran = run_cycle(build_plugin(tmp_path, source), "Grüße", "日本語", env=environment(**locale))
    assert ran.status == 0, ran.stderr
    found = [event["text"].lower() for event in ran.values("event")]
    assert found == ["→ grüße", "→ 日本語", "→ utf-8", "→ utf-8"]
    assert {"severity": 6, "component": None, "text": "Konfiguration: Grüße"} in ran.values("log")
    assert "gedruckt: ñandú" in ran.stderr


def test_library_runs_with_empty_environment(same: Path) -> None:
    env = {"FALCO_PLUGIN_ALLOW_WRITABLE": "1"}
    (line,) = c_host_lines("cycle", same, 1, "", env=env)
    assert line["events"] == len(PAYLOADS)


def test_python_variables_do_not_reach_plugin(tmp_path: Path) -> None:
    write_sources(tmp_path / "elsewhere", {"json/__init__.py": "raise ImportError('the wrong json')\n"})
    env = environment(
        PYTHONPATH=str(tmp_path / "elsewhere"),
        PYTHONHOME=str(tmp_path / "elsewhere"),
        PYTHONSTARTUP=str(tmp_path / "x"),
        PYTHONWARNINGS="error",
        PYTHONOPTIMIZE="2",
    )
    body = """
        def init(self):
            import json, sys, warnings
            warnings.warn("harmless")
            assert json.loads("1") == 1
            self.log.info("optimize %d, path has %r: %s", sys.flags.optimize, "", "" in sys.path)
    """
    ran = run_cycle(build_plugin(tmp_path, simple_plugin("isolated", body)), env=env)
    assert ran.status == 0, ran.stderr
    assert "optimize 0, path has '': False" in [log["text"] for log in ran.values("log")]


def test_start_imports_only_needed_modules(tmp_path: Path) -> None:
    source = """
        import sys
        from falco_plugin import Plugin

        class Imports(Plugin):
            name = "imports"

            def open(self, params):
                yield " ".join(sys.modules).encode()
    """
    (modules,) = cycle_payloads(run_cycle(build_plugin(tmp_path, source)))
    large = {"asyncio", "click", "dataclasses", "datetime", "importlib.resources", "inspect", "ipaddress", "json"}
    large |= {"msgspec", "ssl", "subprocess", "zipfile"}
    # Ignore the modules that Python itself or logging imports.
    bare = subprocess.run(
        [sys.executable, "-I", "-c", "import logging, sys, typing; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert large.intersection(modules.decode().split()) <= set(bare.stdout.split())


def test_library_loads_from_other_working_directory(same: Path, tmp_path: Path) -> None:
    # Python must not import a module of the working directory instead of a module of the standard library.
    write_sources(tmp_path, {"logging.py": "raise ImportError('the wrong logging')\n"})
    (line,) = c_host_lines("cycle", same, 1, "", cwd=tmp_path)
    assert line["events"] == len(PAYLOADS)


def test_library_loads_by_relative_path_before_chdir(same: Path) -> None:
    (line,) = c_host_lines("relative", same, "")
    assert [base64.b64decode(data) for data in line["payloads"]] == PAYLOADS


def test_library_loads_through_symbolic_link(same: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.so"
    link.symlink_to(same)
    (line,) = c_host_lines("cycle", link, 1, "")
    assert line["events"] == len(PAYLOADS)


def test_library_may_be_deleted_after_load(tmp_path: Path) -> None:
    # A package manager may delete the library while Falco runs. The library reads all that it needs when it is loaded.
    path = build_plugin(tmp_path, simple_plugin("deleted"))
    mapped = ctypes.CDLL(str(path))
    path.unlink()
    mapped.plugin_get_name.restype = ctypes.c_char_p
    assert mapped.plugin_get_name() == b"deleted"
    # The dynamic linker finds the loaded library by its name.
    with Library(path) as library, library.opened() as instance:
        _, events = instance.drain()
    assert payloads_of(events) == [b"one", b"two"]


# Symbols

SOURCE_SYMBOLS = {
    "plugin_get_required_api_version",
    "plugin_get_version",
    "plugin_get_name",
    "plugin_get_description",
    "plugin_get_contact",
    "plugin_get_id",
    "plugin_get_event_source",
    "plugin_init",
    "plugin_destroy",
    "plugin_get_last_error",
    "plugin_open",
    "plugin_close",
    "plugin_next_batch",
    "plugin_get_progress",
    "plugin_event_to_string",
    "plugin_get_metrics",
}


def list_exported(library: Path) -> set[str]:
    """Returns all names in the dynamic symbol table, also those that hosts do not look up."""
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True
    ).stdout
    return {line.split()[-1] for line in listed.splitlines()}


def test_source_library_exports_only_source_symbols(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("few"))
    (line,) = c_host_lines("symbols", library)
    assert len(line["symbols"]) == len(SOURCE_SYMBOLS)
    assert set(line["symbols"]) == SOURCE_SYMBOLS
    assert {name for name in list_exported(library) if name.startswith("plugin")} == SOURCE_SYMBOLS


def test_list_open_params_is_exported_if_defined(same: Path) -> None:
    (line,) = c_host_lines("symbols", same)
    assert set(line["symbols"]) == SOURCE_SYMBOLS | {"plugin_list_open_params"}


def test_dependencies_export_no_plugin_symbols() -> None:
    # dlsym also searches dependencies, so their symbols would count as capabilities of the plugin.
    assert not {name for name in list_exported(Path(_core.__file__)) if name.startswith("plugin")}
    assert not {name for name in list_exported(Path(_environment.libpython())) if name.startswith("plugin_")}


def test_stub_depends_only_on_libc(same: Path) -> None:
    listed = subprocess.run(["readelf", "-dW", str(same)], capture_output=True, text=True, check=True).stdout
    # Before glibc 2.34, for which the stub of a wheel is built, dlopen was in a separate library.
    assert set(re.findall(r"\(NEEDED\).*\[(.*)\]", listed)) - {"libdl.so.2"} == {"libc.so.6"}


# Damaged libraries

DAMAGED = (
    "this plugin library was cut, stripped or changed after it was built: build it again with 'falco-plugin build'"
)


def test_stripped_library_is_reported(same: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped.so"
    subprocess.run(["strip", "-o", str(stripped), str(same)], check=True)
    assert stripped.stat().st_size < same.stat().st_size
    assert init_error(stripped) == DAMAGED


@pytest.mark.parametrize("kept", [0.0, 0.5], ids=["no parts kept", "half kept"])
def test_truncated_library_is_reported(same: Path, tmp_path: Path, kept: float) -> None:
    whole = same.read_bytes()
    start = whole.index(b"name\0same\0")
    cut = tmp_path / "cut.so"
    cut.write_bytes(whole[: start + int((len(whole) - start) * kept)])
    assert init_error(cut) == DAMAGED


@pytest.mark.parametrize("position", ["first", "manifest", "archive", "last"])
def test_changed_byte_is_detected(same: Path, tmp_path: Path, position: str) -> None:
    whole = bytearray(same.read_bytes())
    start = whole.index(b"name\0same\0")
    offsets = {"first": start, "manifest": start + 6, "archive": whole.index(b"PK\3\4") + 100, "last": len(whole) - 1}
    whole[offsets[position]] ^= 1
    changed = tmp_path / "changed.so"
    changed.write_bytes(whole)
    assert init_error(changed) == DAMAGED


def test_damaged_library_loads_and_reports_damage(same: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.so"
    changed.write_bytes(same.read_bytes()[:-1])
    ran = run_command("run", changed)
    assert ran.status == 1
    assert "was cut, stripped or changed" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1


# Writing the library


def test_build_is_reproducible(tmp_path: Path) -> None:
    sources = {
        "plugin.py": simple_plugin("twice"),
        "helper.py": "A = 1\n",
        "data/rows.csv": "a,b\n",
        "sub/__init__.py": "",
    }
    first = build_plugin(tmp_path, sources).read_bytes()
    # A library depends on the path of its folder and on the names and bytes of the files, not on order or times.
    shutil.rmtree(tmp_path / "plugin")
    folder = write_sources(tmp_path / "plugin", dict(reversed(sources.items())))
    for file in folder.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    assert build_plugin(tmp_path, dict(reversed(sources.items()))).read_bytes() == first


def test_library_is_readable_by_all_writable_by_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        library = build_plugin(tmp_path, simple_plugin("modes"))
    finally:
        os.umask(before)
    assert library.stat().st_mode & 0o7777 == 0o755


def test_failed_write_keeps_old_library(tmp_path: Path) -> None:
    old = build_plugin(tmp_path, simple_plugin("kept"))
    content = old.read_bytes()
    write_sources(tmp_path, {"plugin.py": simple_plugin("kept", "LONG = 'x' * 3")})
    # The library is larger than the file size limit of the process.
    done = subprocess.run(
        [sys.executable, "-m", "falco_plugin", "build", *KIND, str(tmp_path / "plugin.py"), "-o", str(old)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.search("cannot write .*: File too large", done.stderr)
    assert "Traceback" not in done.stderr
    assert old.read_bytes() == content
    assert sorted(file.name for file in tmp_path.iterdir()) == ["plugin.py", "plugin.so"]


def test_failed_rename_leaves_no_file(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple_plugin("taken"), "out/libtaken.so/obstacle.txt": ""})
    result = CliRunner().invoke(main, ["build", *KIND, str(tmp_path / "plugin.py"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert f"cannot write {tmp_path / 'out' / 'libtaken.so'}" in result.output
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["libtaken.so"]


def test_missing_output_folder_is_named(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple_plugin("nowhere")})
    output = tmp_path / "no" / "such" / "lib.so"
    result = CliRunner().invoke(main, ["build", *KIND, str(tmp_path / "plugin.py"), "-o", str(output)])
    assert result.exit_code == 1
    assert f"cannot write {output}: No such file or directory" in result.output


# Libraries without the environment that built them


@pytest.fixture(scope="module")
def orphan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds a library whose Python, SDK and packages do not exist."""
    return build_changed(
        tmp_path_factory.mktemp("orphan"),
        SOURCE,
        libpython=f"{MISSING}/libpython3.so",
        core=f"{MISSING}/_core.so",
        python=f"{MISSING}/python",
        folders=f"{MISSING}/site-packages",
    )


def test_info_works_without_python(orphan: Path) -> None:
    ran = run(native_path(), "info", orphan, "--json", env={}, cwd="/")
    assert ran.status == 0, ran.stderr
    (found,) = ran.lines
    assert {name: found[name] for name in STATIC} == STATIC
    assert found["capabilities"] == ["sourcing"]
    text = run(native_path(), "info", orphan, env={}, cwd="/")
    assert text.status == 0, text.stderr
    for value in STATIC.values():
        assert str(value) in text.stdout


@pytest.mark.linked("its environment is removed")
def test_info_is_equal_with_and_without_python(same: Path, orphan: Path) -> None:
    answers = [run(native_path(), "info", path, "--json", env={}, cwd="/").lines for path in (same, orphan)]
    answers.append(run_command("info", same, "--json").lines)
    for (info,) in answers:
        assert info.pop("contents")["kind"] == "linked"
    assert answers[0] == answers[1] == answers[2]


def test_init_without_python_explains_repair(orphan: Path) -> None:
    error = init_error(orphan, env=environment(FALCO_PLUGIN_ALLOW_WRITABLE=None))
    assert error.startswith(f"cannot load Python {_environment.python_version()} from {MISSING}/libpython3.so: ")
    for remedy in ("install it there", "build the library again", "falco-plugin build --python PATH"):
        assert remedy in error


def test_init_without_sdk_is_reported(tmp_path: Path) -> None:
    library = build_changed(tmp_path, simple_plugin("nosdk"), core=f"{MISSING}/_core.so")
    error = init_error(library)
    assert error.startswith(f"cannot load falco-plugin-sdk {_core.SDK_VERSION} from {MISSING}/_core.so: ")
    assert "install it there" in error


@pytest.mark.linked("a module of its environment is removed")
def test_init_without_module_of_build_is_reported(tmp_path: Path, monkeypatch) -> None:
    write_sources(tmp_path / "gone", {"a_dependency_of_ours.py": "VALUE = 1\n"})
    monkeypatch.syspath_prepend(tmp_path / "gone")
    library = build_plugin(tmp_path, "import a_dependency_of_ours\n" + simple_plugin("lonely"))
    error = init_error(library)
    assert error.startswith("ModuleNotFoundError: No module named 'a_dependency_of_ours'")
    assert "install it into " in error
    assert "(plugin.py:1 in <module>)" in error


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"python_version": "3.99"}, "Python 3.99"), ({"sdk_version": "99.0.0"}, "falco-plugin-sdk 99.0.0")],
    ids=["python", "sdk"],
)
def test_other_sdk_version_is_rejected_naming_both(tmp_path: Path, changed: dict[str, str], named: str) -> None:
    library = build_changed(tmp_path, simple_plugin("versions"), **changed)
    error = init_error(library)
    assert f"was built for {named}" in error
    assert (_core.SDK_VERSION if "sdk" in named else _environment.python_version()) in error.replace(named, "")
    assert "build" in error


@pytest.mark.linked("all libraries share one interpreter")
def test_other_python_in_process_is_rejected_naming_both(tmp_path: Path) -> None:
    # The stub first checks the version of the Python that already runs in this process.
    library = Library(build_changed(tmp_path, simple_plugin("elsewhere"), python_version="3.99"))
    assert library.init_code == 1
    error = library.last_error()
    library.destroy()
    assert "built for Python 3.99" in error
    assert f"already runs Python {_environment.python_version()}:" in error


def test_variable_selects_other_environment(orphan: Path) -> None:
    env = environment(FALCO_PLUGIN_PYTHON=sys.executable)
    (line,) = c_host_lines("cycle", orphan, 1, "", env=env)
    assert line["events"] == len(PAYLOADS)
    assert len(c_host_lines("cycle", orphan, 20, "", env=env)) == 20


def test_init_rejects_unknown_source_of_python(tmp_path: Path) -> None:
    library = build_changed(tmp_path, simple_plugin("unknown"), python_source="elsewhere")
    assert init_error(library) == (
        "the manifest of this plugin library has the unknown python_source 'elsewhere': "
        "build it again with 'falco-plugin build'"
    )


@pytest.mark.parametrize("python", [MISSING, "/bin/false", "/bin/true", "/", "base"])
def test_variable_with_unsuitable_python_is_rejected(orphan: Path, tmp_path: Path, python: str) -> None:
    if python == "base":
        # This Python runs, but has no packages.
        run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare")
        python = str(tmp_path / "bare" / "bin" / "python")
    error = init_error(orphan, env=environment(FALCO_PLUGIN_PYTHON=python))
    assert error == (
        f"FALCO_PLUGIN_PYTHON names {python}, which is not a Python with falco-plugin-sdk: "
        "install falco-plugin-sdk there, or name another Python"
    )


def test_empty_variable_is_ignored(same: Path) -> None:
    (line,) = c_host_lines("cycle", same, 1, "", env=environment(FALCO_PLUGIN_PYTHON=""))
    assert line["end"] == "eof"


def test_static_answers_work_if_init_fails(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, SOURCE)
    library.chmod(0o777)
    ran = run(native_path(), "info", library, "--json", env={})
    assert json.loads(ran.stdout)["name"] == "same"
