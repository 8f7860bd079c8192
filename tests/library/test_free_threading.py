"""Libraries with a free-threaded Python: they run without the GIL, and report a module that needs it."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.distributions import install
from support.hosts import log_messages, native_path, run, run_cycle
from support.libraries import build_plugin, simple_plugin, write_sources

from falco_plugin._build import environment
from falco_plugin._runtime import gil

pytestmark = [
    pytest.mark.skipif(not environment.is_free_threaded(), reason="this Python has a GIL (make test-freethreaded)"),
    pytest.mark.slow,
]

NEEDS_GIL = """
#include <Python.h>

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "old_module", NULL, -1, NULL, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_old_module(void) { return PyModule_Create(&definition); }
"""
"""An extension module of the kind that was written before free-threaded Pythons existed."""

BUILD = """
import sys
from falco_plugin._build import environment
site = sys.argv.pop(1)
sys.path.insert(0, site)
folders = (site, *environment.folders())
environment.folders = lambda: folders
from falco_plugin.cli.main import main
main()
"""
"""Runs ``falco-plugin`` with a further folder of packages."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder of packages with an extension module that needs the GIL."""
    folder = tmp_path_factory.mktemp("site")
    source = folder / "old_module.c"
    source.write_text(NEEDS_GIL)
    module = folder / f"old_module{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_path("include")
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{include}", source, "-o", module], check=True)
    install(folder, "old", files={module.name: module.read_bytes()})
    return folder


def test_tests_run_without_gil() -> None:
    assert not gil.is_enabled()


@pytest.mark.parametrize("self_contained", [False, True], ids=["linked", "self-contained"])
def test_library_runs_without_gil(tmp_path: Path, self_contained: bool) -> None:
    body = "def init(self):\n    import sys\n    self.log.info('GIL: %s', sys._is_gil_enabled())\n"
    library = build_plugin(tmp_path, simple_plugin("free", body), self_contained=self_contained)
    messages = log_messages(run_cycle(library))
    assert "GIL: False" in messages
    assert not any("switched the GIL on" in message for message in messages)
    shown = run(native_path(), "info", library, env={}).stdout
    assert f"Python:                {'.'.join(map(str, sys.version_info[:2]))}" in shown
    assert "t, self-contained" in shown or "t, linked" in shown


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("import old_module", "the extension module old_module "),
        (
            "import warnings\n\n    with warnings.catch_warnings():\n        warnings.simplefilter('ignore')\n"
            "        import old_module",
            "an extension module ",
        ),
    ],
    ids=["with its name", "although the plugin ignores warnings"],
)
def test_module_that_needs_gil_is_logged_once(tmp_path: Path, site: Path, code: str, module: str) -> None:
    body = f"def init(self):\n    import sys\n\n    sys.path.append({str(site)!r})\n    {code}\n"
    ran = run_cycle(build_plugin(tmp_path, simple_plugin("old", body), self_contained=False))
    messages = [message for message in log_messages(ran) if "GIL" in message]
    assert messages == [f"falco_plugin: {module}{gil.CONSEQUENCE}"]
    assert ran.values("event"), "the plugin runs, with the GIL"


def test_build_and_info_show_module_that_needs_gil(tmp_path: Path, site: Path) -> None:
    write_sources(tmp_path, {"plugin.py": "import old_module\n" + simple_plugin("old")})
    ran = run(sys.executable, "-c", BUILD, site, "build", "plugin.py", cwd=tmp_path)
    assert ran.status == 0, ran
    assert f"the extension module old_module {gil.CONSEQUENCE}" in ran.stderr
    assert "RuntimeWarning" not in ran.stderr
    library = tmp_path / "libold.so"
    assert "with the GIL because of old_module, self-contained" in run(native_path(), "info", library, env={}).stdout
    messages = log_messages(run_cycle(library))
    assert [message for message in messages if "GIL" in message] == [
        f"falco_plugin: the extension module old_module {gil.CONSEQUENCE}"
    ]
