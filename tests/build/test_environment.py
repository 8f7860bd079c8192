"""What a plugin library needs of the Python that built it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from falco_plugin import _core
from falco_plugin._build import environment as _environment


def test_the_shared_library_of_this_python_is_found() -> None:
    path = _environment.libpython()
    assert os.path.isfile(path)
    assert f"libpython{_environment.python_version()}" in os.path.basename(path)


def test_a_python_without_its_shared_library_is_told_which_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"INSTSONAME": "libpython3.11.a", "LDLIBRARY": "libpython3.11.a", "LIBDIR": "/nowhere", "MULTIARCH": ""}
    monkeypatch.setattr(sysconfig, "get_config_var", values.get)
    monkeypatch.setattr(sys, "base_prefix", "/nowhere")
    with pytest.raises(FileNotFoundError) as problem:
        _environment.libpython()
    text = str(problem.value)
    assert "\n" not in text
    assert f"libpython{_environment.python_version()}" in text
    assert "install" in text


def test_the_check_of_the_makefile_is_silent_where_all_is_well() -> None:
    check = [sys.executable, Path(_environment.__file__)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_location_is_a_line_for_each_part_for_the_library_in_front(capsys: pytest.CaptureFixture[str]) -> None:
    _environment.print_location()
    libpython, core, python, *folders = capsys.readouterr().out.splitlines()
    assert libpython == _environment.libpython()
    assert os.path.samefile(core, _core.__file__)
    assert python == sys.executable
    assert folders == sys.path


def test_the_folders_of_code_are_those_of_the_environment_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    _environment.folders.cache_clear()
    folders = _environment.folders()
    assert str(tmp_path) not in folders
    assert {sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")} <= set(folders)
