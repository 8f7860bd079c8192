"""Name, event source and id of a plugin: their defaults, and clashes that Falco does not load."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hosts import native_lines, run_command
from support.libraries import build_plugin, simple_plugin, write_sources

from falco_plugin import Plugin
from falco_plugin._build import library
from falco_plugin._declare import plugin_ids


def source(name: str, **attributes: object) -> str:
    """Returns the code of a plugin that has an event source and a field."""
    body = "".join(f"{attribute} = {value!r}\n" for attribute, value in attributes.items())
    return simple_plugin(
        name, f"from falco_plugin import json_field\n{body}a = json_field('{name}.a', '/a', desc='a')\n"
    )


def extractor(name: str) -> str:
    return (
        "from falco_plugin import Plugin, json_field\n\n\n"
        f"class Extractor(Plugin):\n    name = {name!r}\n    a = json_field('{name}.a', '/a', desc='a')\n"
    )


# The event source


@pytest.mark.parametrize(
    ("name", "expected"), [("lines", "lines"), ("a-b", "a_b"), ("a--b_c-", "a__b_c_"), ("x9", "x9")]
)
def test_event_source_defaults_to_name(name: str, expected: str) -> None:
    cls = type("P", (Plugin,), {"name": name})
    assert (cls.event_source, cls().event_source) == (expected, expected)


def test_event_source_follows_name_of_subclass() -> None:
    class Base(Plugin):
        name = "base"

    class Derived(Base):
        name = "derived-one"

    class Explicit(Base):
        name = "explicit"
        event_source = "other"

    class Instance(Plugin):
        def __init__(self) -> None:
            self.name = "from-instance"

    found = [plugin.event_source for plugin in (Base(), Derived(), Explicit(), Instance())]
    assert found == ["base", "derived_one", "other", "from_instance"]


def test_event_source_is_empty_without_a_name() -> None:
    class Nameless(Plugin):
        pass

    assert (Nameless.event_source, Nameless().event_source) == ("", "")


def test_events_have_default_event_source(tmp_path: Path) -> None:
    lines = native_lines(build_plugin(tmp_path, simple_plugin("two-words")))
    assert {line["source"] for line in lines if line["kind"] == "event"} == {"two_words"}


def test_extractor_name_may_be_invalid_event_source(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": extractor("syscall")})
    ran = run_command("build", "--linked", "plugin.py", cwd=tmp_path)
    assert (ran.status, ran.stderr) == (0, "")


# The id


def test_private_ids_depend_on_name_within_range() -> None:
    names = [f"plugin-{number}" for number in range(1000)]
    ids = [plugin_ids.private_id(name) for name in names]
    assert all(2**30 <= id < 2**31 for id in ids)
    assert len(set(ids)) == len(names)
    assert ids == [plugin_ids.private_id(name) for name in names]


@pytest.mark.parametrize(
    ("code", "is_warned"),
    [(source("made"), True), (source("made", id=2**30), False), (extractor("made"), False)],
    ids=["development", "private", "no source"],
)
def test_build_warns_about_development_id(tmp_path: Path, code: str, is_warned: bool) -> None:
    write_sources(tmp_path, {"plugin.py": code})
    ran = run_command("build", "--linked", "plugin.py", cwd=tmp_path)
    warning = (
        "falco-plugin: warning: the id 999 is for development, and Falco does not load two plugins with one id: "
        "before the plugin is deployed, set its id to a number from 1073741824 to 2147483647 for private use, such as "
        f"id = {plugin_ids.private_id('made')}, or to one that is registered with Falco\n"
    )
    assert (ran.status, ran.stderr) == (0, warning if is_warned else "")


def test_new_plugin_has_private_id(tmp_path: Path) -> None:
    assert run_command("new", "audit-log", cwd=tmp_path).status == 0
    ran = run_command("build", "--linked", "audit-log", cwd=tmp_path)
    assert (ran.status, ran.stderr) == (0, "")
    found = library.read_identity(tmp_path / "libaudit-log.so")
    assert found == ("audit-log", str(plugin_ids.private_id("audit-log")))


# Plugins that Falco does not load together


def build_both(folder: Path, first: str, second: str, *, name: str = "libsecond.so") -> str:
    """Builds two plugins into one folder and returns the warnings of the second build."""
    write_sources(folder, {"first.py": first, "second.py": second})
    (folder / "out").mkdir()
    assert run_command("build", "--linked", "first.py", "-o", "out/libfirst.so", cwd=folder).status == 0
    ran = run_command("build", "--linked", "second.py", "-o", f"out/{name}", cwd=folder)
    assert ran.status == 0
    return "".join(line for line in ran.stderr.splitlines(True) if "is for development" not in line)


SAME_ID = (
    "falco-plugin: warning: out/libfirst.so has the id {} too (plugin first), and Falco does not load two plugins with "
    "one id"
)
SAME_NAME = (
    "falco-plugin: warning: out/libfirst.so has the name first too, and Falco does not load two plugins with one name"
)


@pytest.mark.parametrize(
    ("first", "second", "warning"),
    [
        (source("first"), source("second"), SAME_ID.format(999)),
        (source("first", id=2**30), source("second", id=2**30), SAME_ID.format(2**30)),
        (source("first"), source("second", id=2**30), ""),
        (source("first"), extractor("second"), ""),
        (extractor("first"), source("second"), ""),
        (source("first"), source("first", id=5), SAME_NAME),
        (extractor("first"), extractor("first"), SAME_NAME),
    ],
    ids=["id", "private id", "other id", "extractor", "extractor first", "name", "name of extractors"],
)
def test_build_warns_about_clash_in_output_folder(tmp_path: Path, first: str, second: str, warning: str) -> None:
    warned = build_both(tmp_path, first, second)
    assert warned.startswith(warning) if warning else warned == ""
    assert len(warned.splitlines()) == bool(warning)


def test_build_does_not_warn_about_replaced_library(tmp_path: Path) -> None:
    assert build_both(tmp_path, source("first"), source("first"), name="libfirst.so") == ""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x7fELF" + bytes(100),
        library._MARKER,
        library._MARKER + b"\xff" * 32,
        library._MARKER + (2**40).to_bytes(8, "little") + (5).to_bytes(8, "little") + bytes(16),
        library._MARKER + bytes(32),
        b"\0plugin_open\0" + library._MARKER + (0).to_bytes(8, "little") + (2**25).to_bytes(8, "little") + bytes(16),
    ],
)
def test_build_ignores_other_files_in_output_folder(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.so").write_bytes(content)
    (tmp_path / "folder.so").mkdir()
    (tmp_path / "nowhere.so").symlink_to(tmp_path / "missing")
    write_sources(tmp_path, {"plugin.py": source("made", id=5)})
    assert library.read_identity(tmp_path / "odd.so") is None
    ran = run_command("build", "--linked", "plugin.py", cwd=tmp_path)
    assert (ran.status, ran.stderr) == (0, "")


@pytest.mark.parametrize("subcommand", ["run", "bench"])
@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            source("second"),
            "the plugins first and second have the id 999, and Falco does not load two plugins with one id: give one "
            "of them another id, "
            "1073741824 to 2147483647 for private use",
        ),
        (
            extractor("first"),
            "two plugins have the name first, and Falco does not load two plugins with one name: leave one out, or "
            "rename one",
        ),
    ],
    ids=["id", "name"],
)
def test_run_rejects_clash_naming_both_targets(tmp_path: Path, subcommand: str, second: str, message: str) -> None:
    write_sources(tmp_path, {"first.py": source("first"), "second.py": second})
    ran = run_command(subcommand, "first.py", "--with", "second.py", cwd=tmp_path)
    assert (ran.status, ran.stdout) == (1, "")
    assert ran.stderr == f"falco-plugin-host: {message} (first.py and second.py)\n"


def test_run_accepts_plugins_that_one_falco_loads(tmp_path: Path) -> None:
    write_sources(
        tmp_path,
        {"first.py": source("first"), "second.py": source("second", id=2**30), "third.py": extractor("third")},
    )
    lines = native_lines(tmp_path / "first.py", "--with", tmp_path / "second.py", "--with", tmp_path / "third.py")
    assert lines[-1]["result"] == "eof"
