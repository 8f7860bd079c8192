"""The Python environment that a plugin library needs."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from falco_plugin import _core
from falco_plugin._build import environment as _environment


def test_environment_finds_libpython() -> None:
    path = _environment.libpython()
    assert os.path.isfile(path)
    assert f"libpython{_environment.python_version()}" in os.path.basename(path)


VERSION = _environment.python_version()


@pytest.mark.parametrize(
    ("prefix", "system", "remedy"),
    [
        ("/usr", {"ID": "debian"}, f"apt-get install libpython{VERSION}"),
        ("/usr", {"ID": "ubuntu", "ID_LIKE": "debian"}, f"apt-get install libpython{VERSION}"),
        ("/usr", {"ID": "centos", "ID_LIKE": "rhel fedora"}, f"dnf install python{VERSION}-libs"),
        ("/usr", {"ID": "other"}, f"such as libpython{VERSION}"),
        ("/usr", OSError("no such file"), f"such as libpython{VERSION}"),
        ("/nowhere", {"ID": "debian"}, f"PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {VERSION}"),
    ],
)
def test_python_without_libpython_names_remedy_of_system(
    prefix: str, system: dict[str, str] | OSError, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_release() -> dict[str, str]:
        if isinstance(system, OSError):
            raise system
        return system

    values = {"INSTSONAME": "libpython3.11.a", "LDLIBRARY": "libpython3.11.a", "LIBDIR": "/nowhere", "MULTIARCH": ""}
    monkeypatch.setattr(sysconfig, "get_config_var", values.get)
    monkeypatch.setattr(sys, "base_prefix", prefix)
    monkeypatch.setattr(platform, "freedesktop_os_release", read_release)
    monkeypatch.setattr(os.path, "isfile", lambda path: False)
    with pytest.raises(FileNotFoundError) as problem:
        _environment.libpython()
    text = str(problem.value)
    assert "\n" not in text
    assert remedy in text


def test_environment_script_is_silent_without_problem() -> None:
    check = [sys.executable, Path(_environment.__file__)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_environment_location_has_line_per_part(capsys: pytest.CaptureFixture[str]) -> None:
    _environment.print_location()
    libpython, core, python, *folders = capsys.readouterr().out.splitlines()
    assert libpython == _environment.libpython()
    assert os.path.samefile(core, _core.__file__)
    assert python == sys.executable
    assert folders == sys.path


def test_code_folders_belong_to_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    _environment.folders.cache_clear()
    folders = _environment.folders()
    assert str(tmp_path) not in folders
    assert {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")} <= set(folders)
