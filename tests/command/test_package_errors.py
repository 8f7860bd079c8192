"""`falco-plugin package`: what it rejects, with the remedy."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.commands import check_refused
from support.hosts import MISSING, run_command
from support.packages import FIELDS, ID, LINKED, SOURCE, Change, artifacts, compile_library, for_aarch64, package

from falco_plugin._build import library

# Invalid plugins

BAD_PLUGINS = {
    "linked": ({}, (), ["is a linked library", "build it without --linked", "--allow linked"]),
    "development id": (
        {"id": "999"},
        LINKED,
        ["the id 999 is for development", "1073741824 to 2147483647", "such as id = ", "--allow development-id"],
    ),
    "development source": (
        {"event_source": "test"},
        LINKED,
        ["the event source 'test' is for development", "--allow development-id"],
    ),
    "large id": ({"id": str(2**31)}, LINKED, ["the id 2147483648 is too large", "1073741824 to 2147483647"]),
    "no id": ({"id": "0"}, LINKED, ['the plugin has the event source "packaged", but no id']),
    "reserved source": ({"event_source": "syscall"}, LINKED, ['the event source "syscall" is reserved']),
    "invalid source": ({"event_source": "a-b"}, LINKED, ['the event source "a-b" must be a lower-case letter']),
    "invalid name": ({"name": "Packaged"}, LINKED, ['the plugin\'s name "Packaged" must be a lower-case letter']),
    "name of no repository": (
        {"name": "packaged_"},
        LINKED,
        ["the name 'packaged_' cannot be the name of a repository", "--allow name"],
    ),
    "name with two underscores more": ({"name": "a___b"}, LINKED, ["the name 'a___b' cannot be"]),
    "leading zero": ({"version": "01.2.3"}, LINKED, ["the version '01.2.3' is not a semantic version", "1.2.3"]),
    "two numbers": ({"version": "1.0"}, LINKED, ['the plugin\'s version "1.0" must be three numbers']),
    "newer plugin API": ({"required_api_version": "3.99.0"}, LINKED, ["the plugin needs plugin API 3.99.0"]),
}


@pytest.mark.parametrize("kind", BAD_PLUGINS)
def test_package_rejects_plugin(changed: Change, tmp_path: Path, kind: str) -> None:
    manifest, allowed, messages = BAD_PLUGINS[kind]
    path = changed(**manifest)
    check_refused(package(path, *allowed, folder=tmp_path / "out"), str(path), *messages)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("manifest", "allowed"),
    [
        ({}, ["linked"]),
        ({"id": "999"}, ["linked", "development-id"]),
        ({"event_source": "test"}, ["linked", "development-id"]),
        ({"name": "packaged_"}, ["linked", "name"]),
    ],
)
def test_package_accepts_what_is_allowed(
    changed: Change, tmp_path: Path, manifest: dict[str, str], allowed: Sequence[str]
) -> None:
    path = changed(**manifest)
    options = [word for what in allowed for word in ("--allow", what)]
    artifacts(package(path, *options, "--json", folder=tmp_path / "out"))


def test_id_of_plugin_without_events_is_not_checked(changed: Change, tmp_path: Path) -> None:
    artifacts(package(changed(FIELDS, id="999"), *LINKED, "--json", folder=tmp_path / "out"))


def text_file(folder: Path, _: Path) -> Path:
    (folder / "text.so").write_text("not a library, but long enough for a header")
    return folder / "text.so"


def empty_file(folder: Path, _: Path) -> Path:
    (folder / "empty.so").write_bytes(b"")
    return folder / "empty.so"


def python_file(folder: Path, _: Path) -> Path:
    (folder / "plugin.py").write_text(SOURCE)
    return folder / "plugin.py"


def patched(offset: int, value: int) -> Callable[[Path, Path], Path]:
    """Returns a function that copies a library with another number in its ELF header."""

    def write(folder: Path, path: Path) -> Path:
        data = bytearray(path.read_bytes())
        struct.pack_into("<H", data, offset, value)
        (folder / "patched.so").write_bytes(data)
        return folder / "patched.so"

    return write


def with_changed_byte(share: float) -> Callable[[Path, Path], Path]:
    """Returns a function that copies a library with one changed byte in what was appended to the stub."""

    def write(folder: Path, path: Path) -> Path:
        data = bytearray(path.read_bytes())
        with path.open("rb") as file:
            _, location = library._locate(file)
        start = location.offset
        data[start + int((len(data) - 1 - start) * share)] ^= 1
        (folder / "damaged.so").write_bytes(data)
        return folder / "damaged.so"

    return write


def cut(share: float) -> Callable[[Path, Path], Path]:
    def write(folder: Path, path: Path) -> Path:
        data = path.read_bytes()
        (folder / "cut.so").write_bytes(data[: int(len(data) * share)])
        return folder / "cut.so"

    return write


def stripped(folder: Path, path: Path) -> Path:
    subprocess.run(["strip", "-o", folder / "stripped.so", path], check=True)
    return folder / "stripped.so"


def other_library(folder: Path, _: Path) -> Path:
    (folder / "empty.c").write_text("")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "other.so", folder / "empty.c"], check=True)
    return folder / "other.so"


def other_sdk_for_aarch64(folder: Path, _: Path) -> Path:
    return for_aarch64(compile_library(folder, "foreign"), folder)


def crashing_library(folder: Path, _: Path) -> Path:
    source = "#include <stdlib.h>\n__attribute__((constructor)) static void start(void) { abort(); }\n"
    (folder / "crash.c").write_text(source)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "crash.so", folder / "crash.c"], check=True)
    return folder / "crash.so"


BUILT_AGAIN = ["was cut, stripped or changed after it was built", "build it again with 'falco-plugin build'"]
BAD_FILES = {
    "missing": (lambda *_: Path(MISSING), [f"cannot read {MISSING}: No such file or directory"]),
    "unreadable": (lambda *_: Path("/proc/self/mem"), ["cannot read /proc/self/mem: Input/output error"]),
    "folder": (lambda folder, _: folder, ["is not a library: build it first (falco-plugin build "]),
    "Python code": (python_file, ["plugin.py is not a library: build it first (falco-plugin build "]),
    "text": (text_file, ["text.so is not a shared library", "falco-plugin build"]),
    "empty": (empty_file, ["empty.so is not a shared library"]),
    "RISC-V": (patched(18, 243), ["is for another architecture (ELF machine 243)", "x86_64 or aarch64"]),
    "object file": (patched(16, 1), ["is an ELF file, but not a shared library"]),
    "no program headers": (patched(54, 0), ["is an ELF file, but not a shared library"]),
    "changed": (with_changed_byte(0), BUILT_AGAIN),
    "changed bundle": (with_changed_byte(0.5), BUILT_AGAIN),
    "changed end": (with_changed_byte(1), BUILT_AGAIN),
    "cut": (cut(0.9), BUILT_AGAIN),
    "cut stub": (cut(0.01), ["cut.so was cut off: build it or copy it again"]),
    "cut headers": (cut(0.00001), ["cut.so was cut off"]),
    "stripped": (stripped, BUILT_AGAIN),
    "other library": (other_library, ["other.so is not a Falco plugin: it lacks plugin_get_required_api_version"]),
    "other SDK for aarch64": (
        other_sdk_for_aarch64,
        ["is for aarch64 and was not built by this SDK", "package it there"],
    ),
    "crash": (crashing_library, ["crash.so crashed the host with SIGABRT (signal 6)"]),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_package_rejects_file(self_contained: Path, tmp_path: Path, kind: str) -> None:
    write, messages = BAD_FILES[kind]
    path = write(tmp_path, self_contained)
    check_refused(package(path, folder=tmp_path / "out"), str(path), *messages)
    assert not (tmp_path / "out").exists()


# Several libraries

DIFFERENT = {
    "name": ({"name": "other"}, "differ in their name (packaged and other)"),
    "version": ({"version": "0.1.1"}, "differ in their version (0.1.0 and 0.1.1)"),
    "id": ({"id": str(ID + 1)}, f"differ in their id ({ID} and {ID + 1})"),
    "event source": ({"event_source": "other"}, "differ in their event source (packaged and other)"),
    "plugin API": ({"required_api_version": "3.6.0"}, "differ in their required api version (3.5.0 and 3.6.0)"),
    "schema": ({"schema": "{}"}, "differ in their schema"),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_package_rejects_libraries_of_different_plugins(
    linked: Path, changed: Change, tmp_path: Path, kind: str
) -> None:
    manifest, message = DIFFERENT[kind]
    other = for_aarch64(changed(**manifest), tmp_path)
    ran = package(linked, other, *LINKED, folder=tmp_path / "out")
    check_refused(ran, str(linked), str(other), message, "built from the same plugin")


def test_package_rejects_different_fields(changed: Change, tmp_path: Path) -> None:
    fewer = changed(FIELDS, "fewer")
    more = changed(FIELDS.replace('"packaged.size"', '"packaged.length"'), "more")
    ran = package(fewer, for_aarch64(more, tmp_path), *LINKED, folder=tmp_path / "out")
    check_refused(ran, "differ in their fields: give libraries that were built from the same plugin")


def test_package_rejects_event_source_with_library_of_fields(changed: Change, tmp_path: Path) -> None:
    other = for_aarch64(changed(FIELDS, "fields", version="0.1.0"), tmp_path)
    ran = package(changed(), other, *LINKED, folder=tmp_path / "out")
    check_refused(ran, "differ in their required api version")


def test_package_rejects_two_libraries_of_one_architecture(linked: Path, changed: Change, tmp_path: Path) -> None:
    other = changed()
    ran = package(linked, other, *LINKED, folder=tmp_path / "out")
    check_refused(ran, str(linked), str(other), "are both for x86_64: give one library for each architecture")
    ran = package(linked, linked, *LINKED, folder=tmp_path / "out")
    check_refused(ran, "are both for x86_64")


def test_package_names_library_of_older_sdk_for_other_architecture(linked: Path, tmp_path: Path) -> None:
    manifest = library.read_manifest(linked)
    del manifest["required_api_version"]
    library.write(tmp_path / "old.so", manifest, b"", hidden=frozenset())
    ran = package(for_aarch64(tmp_path / "old.so", tmp_path), *LINKED, folder=tmp_path / "out")
    check_refused(ran, "cannot be read on another architecture: build it again with this version")


# Options

BAD_OPTIONS = {
    "no library": (["-o", "out"], "Missing argument 'LIB...'"),
    "no output": (["lib.so"], "Missing option '-o' / '--output'"),
    "unknown problem": (["lib.so", "-o", "out", "--allow", "all"], "'all' is not one of"),
}


@pytest.mark.parametrize("kind", BAD_OPTIONS)
def test_package_explains_its_options(kind: str) -> None:
    arguments, message = BAD_OPTIONS[kind]
    ran = run_command("package", *arguments)
    assert (ran.status, ran.stdout) == (2, "")
    assert message in ran.stderr


@pytest.mark.parametrize("text", ["key", "=value"])
def test_package_rejects_incomplete_annotation(linked: Path, tmp_path: Path, text: str) -> None:
    ran = package(linked, "--annotation", text, folder=tmp_path / "out")
    check_refused(ran, f"--annotation {text}: write KEY=VALUE")
