"""Python in a self-contained library works as in a linked one, and reports what it cannot do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.hosts import cycle_payloads, environment, run_cycle

from falco_plugin.cli.main import main

SOURCE = """
import asyncio
import builtins
import concurrent.futures
import ctypes
import decimal
import gc
import importlib.metadata
import importlib.resources
import importlib.util
import json
import locale
import logging
import multiprocessing
import os
import pkgutil
import sqlite3
import ssl
import subprocess
import sys
import sysconfig
import threading
import warnings
import zoneinfo

import certifi

from falco_plugin import Plugin


def square(number):
    return number * number


def pool():
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        return list(executor.map(square, [1, 2, 3]))


def queue():
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=queue.put, args=("item",))
    process.start()
    try:
        return queue.get()
    finally:
        process.join()


class Answers(Plugin):
    name = event_source = "answers"

    def open(self, params):
        # The host does not wait long for an event, so evaluate all expressions before the first one.
        return answers([[expression, evaluated(expression)] for expression in json.loads(params)])


def evaluated(expression):
    try:
        return ascii(eval(expression))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def answers(found):
    for answer in found:
        yield json.dumps(answer).encode()
"""
SAME = [
    "[(name, getattr(sys.flags, name)) for name in ('isolated', 'no_user_site', 'ignore_environment', 'safe_path')]",
    "sys.flags.utf8_mode, sys.flags.optimize, sys.flags.dont_write_bytecode, sys.flags.dev_mode, sys.flags.verbose",
    "sys.stdout is sys.stderr, sys.stdin.encoding, sys.stderr.encoding, sys.stderr.errors, sys.stderr.line_buffering",
    "sys.argv, sys.warnoptions, sys._xoptions, sys.pycache_prefix",
    "sys.getswitchinterval(), sys.getrecursionlimit(), gc.get_threshold()",
    "sys.getfilesystemencoding(), sys.getfilesystemencodeerrors(), sys.getdefaultencoding(), locale.getencoding()",
    "sys.version, sys.implementation, sys.hexversion, sys.abiflags, sys.platlibdir",
    "[filter[:3] for filter in warnings.filters]",
    "threading.excepthook.__name__, [type(handler).__name__ for handler in logging.getLogger().handlers]",
    "threading.main_thread().name, threading.current_thread() is threading.main_thread()",
    "callable(exit), callable(quit)",
    "importlib.metadata.version('certifi')",
    "importlib.metadata.requires('falco-plugin-sdk')",
    "len(importlib.resources.files('certifi').joinpath('cacert.pem').read_bytes())",
    "len(pkgutil.get_data('certifi', 'cacert.pem'))",
    "ssl.create_default_context(cafile=certifi.where()).cert_store_stats()",
    "ssl.create_default_context().cert_store_stats()",
    "ssl.OPENSSL_VERSION",
    "str(zoneinfo.ZoneInfo('UTC'))",
    "sysconfig.get_platform(), sysconfig.get_config_var('EXT_SUFFIX')",
    "queue()",
    "subprocess.run(['echo', 'started'], capture_output=True).stdout",
    "ctypes.pythonapi.Py_IsInitialized(), ctypes.CDLL(None).getpid() == os.getpid()",
    "ctypes.pythonapi.PyLong_AsLong(ctypes.py_object(7))",
    "sqlite3.connect(':memory:').execute('select 1 + 1').fetchone(), decimal.Decimal(1) / 3",
    "asyncio.run(asyncio.sleep(0, 'slept'))",
    "importlib.util.find_spec('absent_module')",
    "__import__('absent_module')",
]
"""Expressions that have the same value in both kinds of libraries."""
NO_PROGRAM = "RuntimeError: a self-contained library has no Python program to start, so sys.executable is empty: "
OWN = [
    ("sys.executable, sys._base_executable, sys.path", "('', '', [])"),
    ("sys.prefix == sys.exec_prefix == sys.base_prefix == sys.base_exec_prefix == {library!r}", "True"),
    ("os.__file__, json.__file__", "('{library}/os.py', '{library}/json/__init__.py')"),
    ("__import__('encodings').__file__", "'{library}/encodings/__init__.py'"),
    ("__import__('encodings').__path__", "['{library}/encodings']"),
    ("__import__('_ssl').__file__, __import__('_ctypes').__file__", "('{library}/_ssl.so', '{library}/_ctypes.so')"),
    ("json.loads.__code__.co_filename", "'{library}/json/__init__.py'"),
    ("__file__, square.__code__.co_filename", "('{library}/answers.py', '{library}/answers.py')"),
    ("certifi.where()[:14]", "'/proc/self/fd/'"),
    ("ctypes.pythonapi._name.endswith('-libpython{version}.so.1.0')", "True"),
    # In a linked library of Python 3.14 the default is forkserver, which cannot run functions of the plugin.
    ("multiprocessing.get_start_method()", "'fork'"),
    ("pool()", "[1, 4, 9]"),
    ("subprocess.run([sys.executable])", NO_PROGRAM + "start another program, or use multiprocessing with 'fork'"),
    (
        "multiprocessing.get_context('spawn').Process().start()",
        NO_PROGRAM + "use the start method 'fork', and SharedMemory with track=False",
    ),
    ("sorted(each.name for each in pkgutil.iter_modules(json.__path__))[0]", "'decoder'"),
    (
        "ctypes.CDLL('libabsent.so.1')",
        "OSError: libabsent.so.1: cannot open shared object file: No such file or directory",
    ),
]
"""Expressions, and their values in a self-contained library."""


def build(folder: Path, source: str, *options: str, name: str = "plugin") -> Path:
    path, library = folder / f"{name}.py", folder / f"lib{name}.so"
    path.write_text(source)
    result = CliRunner().invoke(main, ["build", *options, str(path), "-o", str(library)])
    assert result.exit_code == 0, result.output
    return library


def answers(folder: Path, expressions: list[str], *options: str, **env: str) -> dict[str, str]:
    folder.mkdir()
    library = build(folder, SOURCE, *options, name="answers")
    texts = [expression.replace("{library!r}", repr(str(library))) for expression in expressions]
    ran = run_cycle(library, params=json.dumps(texts), env=environment(SSL_CERT_FILE=None, SSL_CERT_DIR=None, **env))
    values = [json.loads(payload)[1] for payload in cycle_payloads(ran)]
    assert len(values) == len(expressions), ran.stdout + ran.stderr
    return {"library": str(library), **dict(zip(expressions, values, strict=True))}


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return answers(tmp_path_factory.mktemp("answers") / "linked", SAME, "--linked")


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("answers") / "bundled"
    version = f"{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    own = [expression.replace("{version}", version) for expression, _ in OWN]
    return answers(folder, SAME + own)


@pytest.mark.parametrize("expression", SAME)
def test_self_contained_python_answers_as_linked(
    linked: dict[str, str], bundled: dict[str, str], expression: str
) -> None:
    assert bundled[expression] == linked[expression]


@pytest.mark.parametrize(("expression", "expected"), OWN)
def test_self_contained_python_answers(bundled: dict[str, str], expression: str, expected: str) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}{sys.abiflags}"
    found = bundled[expression.replace("{version}", version)]
    assert found == expected.replace("{library}", bundled["library"])


CONFIGURATION = """
openssl_conf = main
[main]
ssl_conf = ssl
[ssl]
system_default = default
[default]
Options = -SessionTicket
"""


@pytest.mark.parametrize(("options", "reads"), [(("--linked",), "True"), ((), "False")])
def test_openssl_of_library_reads_no_configuration(tmp_path: Path, options: tuple[str, ...], reads: str) -> None:
    file = tmp_path / "openssl.cnf"
    file.write_text(CONFIGURATION)
    expression = "bool(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).options & ssl.OP_NO_TICKET)"
    found = answers(tmp_path / "answers", [expression], *options, OPENSSL_CONF=str(file))
    assert found[expression] == reads


REAL_FILES = """
import os

import jsonschema
from falco_plugin import Plugin


class Real(Plugin):
    name = event_source = "real"

    def open(self, params):
        folder = os.path.dirname(os.path.dirname(jsonschema.__file__))
        yield folder.encode()
        yield str([os.path.exists(path) for path in (folder, jsonschema.__path__[0])]).encode()
"""


def test_package_with_data_files_has_real_ones_until_exit(tmp_path: Path) -> None:
    """jsonschema opened its schemas by ``__file__``, and it still has files beside its code."""
    library = build(tmp_path, REAL_FILES)
    place = tmp_path / "place"
    place.mkdir(mode=0o700)
    ran = run_cycle(library, env=environment(TMPDIR=str(place)))
    folder, exists = cycle_payloads(ran)
    assert Path(folder.decode()).parent == place, ran.stderr
    assert exists == b"[True, True]"
    assert list(place.iterdir()) == []


FAILS = """
import json

from falco_plugin import Plugin


class Fails(Plugin):
    name = event_source = "fails"

    def open(self, params):
        yield b"event"
        json.loads("{")
"""


def test_traceback_names_files_below_library(tmp_path: Path) -> None:
    library = build(tmp_path, FAILS)
    (error,) = [log["text"] for log in run_cycle(library).values("log") if log["severity"] <= 3]
    lines = error.splitlines()
    assert lines[0].endswith("(plugin.py:12 in open)")
    files = [line.split('"')[1] for line in lines if line.strip().startswith("File ")]
    assert files == [f"{library}/plugin.py", *[f"{library}/json/__init__.py"], *[f"{library}/json/decoder.py"] * 2]
    assert '      json.loads("{")' in lines


def test_module_that_was_not_packed_has_remedy(tmp_path: Path) -> None:
    # The build finds names that are constants.
    source = FAILS.replace('json.loads("{")', '__import__("".join(["wsgi", "ref"]))')
    (error,) = [log["text"] for log in run_cycle(build(tmp_path, source)).values("log") if log["severity"] <= 3]
    assert (
        "ModuleNotFoundError: No module named 'wsgiref': it is not packed into this library: build it with --include "
        "wsgiref (plugin.py:12 in open)" in error
    )
