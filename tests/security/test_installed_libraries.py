"""Self-contained libraries as falcoctl and the Falco Operator install them: other users can replace the file.

Falco has run the library before init, so a check could not protect it. Init reports who can replace it, and continues.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.embedded import InitInput
from support.hosts import cycle_payloads, environment, log_messages, run_c_host, run_cycle
from support.libraries import build_plugin, simple_plugin
from support.permissions import add_writer, as_root

pytestmark = as_root

WARNING = 4
OPERATOR = 65532
"""The user as which the Operator's container writes the file."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("built"), simple_plugin("installed"), self_contained=True)


@pytest.fixture
def installed(built: Path, tmp_path: Path) -> Path:
    """The library in a folder of root."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    return Path(shutil.copy(built, folder / "installed.so"))


def run_as_root(library: Path, **changes: str | None) -> list[str]:
    """Runs a cycle, which must succeed, without the variable. Returns the warnings."""
    ran = run_cycle(library, env=environment(**{"FALCO_PLUGIN_ALLOW_WRITABLE": None, **changes}))
    assert ran.status == 0, ran.stdout + ran.stderr
    assert cycle_payloads(ran) == [b"one", b"two"]
    return log_messages(ran, WARNING)


def warning(writers: str, path: Path) -> str:
    return (
        f"Falco runs as root, but {writers} can write to {path} and so replace the code of this plugin: "
        "change its owner to root and its mode to go-w, unless you trust them as you trust root"
    )


def test_library_of_root_is_loaded_without_warning(installed: Path) -> None:
    assert run_as_root(installed) == []


def test_library_of_operator_is_loaded_with_warning(installed: Path) -> None:
    os.chown(installed, OPERATOR, OPERATOR)
    installed.parent.chmod(0o777)
    assert run_as_root(installed) == [warning("user 65532", installed)]


def test_library_of_falcoctl_is_loaded_with_warning(installed: Path) -> None:
    installed.parent.chmod(0o777)
    assert run_as_root(installed) == [warning("all users", installed.parent)]


def test_sticky_folder_of_library_is_not_reported(installed: Path) -> None:
    installed.parent.chmod(0o1777)
    assert run_as_root(installed) == []


def chmod_others(library: Path) -> None:
    library.chmod(0o646)


def chmod_group(library: Path) -> None:
    os.chown(library, 0, 12345)
    library.chmod(0o664)


GROUP = "group {}, or a user of its access control list,"


@pytest.mark.parametrize(
    ("change", "writers"),
    [
        (chmod_others, "all users"),
        (chmod_group, GROUP.format(12345)),
        (lambda library: add_writer(library, 12345), GROUP.format(0)),
    ],
    ids=["others", "group", "access control list"],
)
def test_writers_of_library_are_reported(installed: Path, change: Callable[[Path], None], writers: str) -> None:
    change(installed)
    assert run_as_root(installed) == [warning(writers, installed)]


def test_owner_of_link_to_library_is_reported(installed: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    link = theirs / "link.so"
    link.symlink_to(installed)
    os.chown(theirs, 12345, 12345)
    assert run_as_root(link) == [warning("user 12345", theirs)]
    os.chown(link, 23456, 23456, follow_symlinks=False)
    assert run_as_root(link) == [warning("user 23456", link)]


def test_variable_silences_warning(installed: Path) -> None:
    installed.chmod(0o777)
    assert run_as_root(installed, FALCO_PLUGIN_ALLOW_WRITABLE="1") == []


def test_warning_appears_once_for_each_load(installed: Path) -> None:
    installed.chmod(0o777)
    env = environment(FALCO_PLUGIN_ALLOW_WRITABLE=None, HOST_LOG="1")
    line = f"log <{WARNING}> {warning('all users', installed)}"
    for command, loads in [(("triple", installed, ""), 1), (("cycle", installed, 3, ""), 3)]:
        ran = run_c_host(*command, env=env)
        assert ran.status == 0, ran.stdout + ran.stderr
        assert [warned for warned in ran.stderr.splitlines() if "can write to" in warned] == [line] * loads


def test_uncheckable_path_is_reported_with_reason(installed: Path) -> None:
    links = [installed, *(installed.with_name(f"link{number}.so") for number in range(9))]
    for target, link in itertools.pairwise(links):
        link.symlink_to(target)
    assert run_as_root(links[-1]) == [
        f"cannot check who can replace the code of this plugin: too many links, or too long a path, at {links[1]}"
    ]


def test_warning_goes_to_stderr_without_log_of_host(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    installed.chmod(0o777)
    monkeypatch.delenv("FALCO_PLUGIN_ALLOW_WRITABLE", raising=False)
    library = ctypes.CDLL(str(installed), mode=os.RTLD_NOW | os.RTLD_LOCAL)
    library.plugin_init.restype = ctypes.c_void_p
    code = ctypes.c_int()
    # Init then fails if the Python of this process is in the global scope.
    state = library.plugin_init(ctypes.byref(InitInput(config=b"")), ctypes.byref(code))
    library.plugin_destroy(ctypes.c_void_p(state))
    assert capfd.readouterr().err == warning("all users", installed) + "\n"
