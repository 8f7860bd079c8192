"""Which modules of the standard library a self-contained library brings, and on which systems it can be built."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zlib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from support.collected import Collect
from support.distributions import install, write

from falco_plugin._build import environment
from falco_plugin._build.bundle import cache
from falco_plugin._build.bundle.collect import Collection
from falco_plugin._build.errors import TargetError


def names(collection: Collection) -> set[str]:
    return {*collection.standard.modules, *collection.standard.part.extensions}


def test_standard_library_is_what_code_reaches(site: Path, collected: Collect) -> None:
    found = names(collected(""))
    assert {"encodings.cp037", "json.decoder", "logging", "importlib.metadata", "_datetime", "asyncio.events"} <= found
    tops = {name.partition(".")[0] for name in found}
    assert not {"test", "tkinter", "idlelib", "turtle", "unittest", "pdb", "ensurepip", "sqlite3", "readline"} & tops
    assert not {"os", "abc", "codecs"} & found, "these are frozen into libpython"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import sqlite3", {"sqlite3", "sqlite3.dbapi2", "_sqlite3", "sqlite3.dump"}),
        ("from xml.dom import minidom", {"xml.dom.minidom", "pyexpat"}),
        ("def f():\n    import curses.ascii", {"curses", "curses.ascii", "_curses"}),
        ("import importlib\nm = importlib.import_module('wsgiref.util')", {"wsgiref", "wsgiref.util"}),
        ("NAMES = {'html.parser': 1}", {"html", "html.parser"}),
        ("import dbm", {"dbm", "dbm.dumb"}),
        ("import xml.sax", {"xml.sax.expatreader"}),
        ("import sysconfig", {"sysconfig", f"_sysconfigdata_{sys.abiflags}_linux_{sys.implementation._multiarch}"}),
        ("import unittest", {"unittest", "unittest.case"}),
    ],
)
def test_imports_and_names_lead_to_modules(collected: Collect, code: str, expected: set[str]) -> None:
    assert expected <= names(collected(code))


def test_dependency_leads_to_modules(site: Path, collected: Collect) -> None:
    install(site, "dist", files={"kode.py": "import poplib\n"})
    assert "poplib" in names(collected("import kode\n"))


CYTHON = """
    void *PyImport_ImportModule(const char *name);
    __attribute__((used)) static const char message[] = "CYTHON_COMPRESS_STRINGS=%d";
    __attribute__((used)) static const unsigned char strings[] = {{ {strings} }};

    void *PyInit_fast(void)
    {{
        char name[] = "?olorsys";
        name[0] = 'c';
        PyImport_ImportModule(name);
        return 0;
    }}
"""


def test_compressed_strings_of_cython_lead_to_modules(site: Path, tmp_path: Path, collected: Collect) -> None:
    # The name of another module is in the strings only as a part of other words.
    strings = zlib.compress(b"callcolorsyscopymailbox", 9)
    source = tmp_path / "fast.c"
    source.write_text(textwrap.dedent(CYTHON).format(strings=", ".join(map(str, strings))))
    compiled = tmp_path / "fast.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", compiled, source], check=True)
    install(site, "dist", files={f"fast{EXTENSION_SUFFIXES[0]}": compiled.read_bytes()})
    found = names(collected("import fast\n"))
    assert "colorsys" in found
    assert "mailbox" not in found


def test_included_and_excluded_modules_of_the_standard_library(collected: Collect) -> None:
    found = names(collected("import http.client\n", include=["xmlrpc"], exclude=["asyncio", "ssl"]))
    assert {"xmlrpc.client", "xmlrpc.server", "http.client"} <= found
    assert not {name for name in found if name == "ssl" or name.split(".")[0] == "asyncio"}


# Systems


def test_other_system_is_an_error(collected: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(TargetError, match=r"needs Linux, and this is darwin: build with --linked"):
        collected("")


def test_python_without_glibc_is_an_error(collected: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    def confstr(name: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", confstr)
    with pytest.raises(TargetError, match=r"needs a Python for glibc, and .* is not: build with --linked"):
        collected("")


# The cache


def codes(collection: Collection) -> dict[str, bytes]:
    return {name: module.code for part in collection.parts for name, module in part.modules.items()}


def test_cache_does_not_change_the_result(
    site: Path, collected: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "dist", files={"kode.py": "A = 1\n"})
    warm = codes(collected("import kode\n"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert codes(collected("import kode\n")) == warm
    for file in (tmp_path / "cache" / "falco-plugin" / "code").rglob("*"):
        if file.is_file():
            file.write_bytes(b"damaged")
    assert codes(collected("import kode\n")) == warm
    write(site, {"kode.py": "A = 2\n"})
    changed = codes(collected("import kode\n"))
    assert {name for name, code in changed.items() if code != warm[name]} == {"kode"}


def test_cache_of_others_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache.folder()
    assert folder == tmp_path / "falco-plugin"
    folder.chmod(0o777)
    assert cache.folder() is None
    folder.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert cache.folder() is None


def test_user_without_home_has_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.chdir(tmp_path)
    assert cache.folder() is None
    assert list(tmp_path.iterdir()) == []


def test_cache_folder_that_cannot_be_made_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache.folder() is None
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "falco-plugin"


def test_library_of_python_has_its_name() -> None:
    assert environment.libpython_name().startswith(f"libpython{environment.python_version()}")
