"""Packages that need real files get them in a private folder, which nobody else can enter."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from support.bundles import ROOT, printed, run_bundled

FILES = {
    "falco_plugin/_runtime/bundle/real_files.txt": "package/\nother/\n",
    "package/__init__.py": "import os\nTEXT = open(os.path.dirname(__file__) + '/data/rows.csv').read()\n",
    "package/inner/__init__.py": "",
    "package/data/rows.csv": "a,b\n",
    "package/tool": "#!/bin/sh\necho started\n",
    "other/__init__.py": "",
    "other/text.txt": "text",
    "plain/__init__.py": "",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that TMPDIR names, and that only this user can write to."""
    tmp_path.chmod(0o700)
    return tmp_path


def folders_in(place: Path) -> list[Path]:
    return sorted(place.glob("falco-plugin-files-*"))


def test_package_opens_files_beside_its_code(place: Path) -> None:
    code = """
        import importlib.resources, os, pkgutil, stat, subprocess
        import package.inner, plain
        folder = os.path.dirname(os.path.dirname(package.__file__))
        print(os.path.dirname(folder))
        print(package.TEXT.strip(), package.__path__ == [f"{folder}/package"], plain.__file__)
        print(package.inner.__file__ == f"{folder}/package/inner/__init__.py")
        print([oct(stat.S_IMODE(os.stat(path).st_mode)) for path in (folder, f"{folder}/package/data/rows.csv")])
        print(subprocess.run([f"{folder}/package/tool"], capture_output=True, text=True).stdout.strip())
        print(pkgutil.get_data("package", "data/rows.csv"))
        print(importlib.resources.files("package") == importlib.resources.files("package") / ".")
        print([found.name for found in pkgutil.iter_modules(package.__path__)], os.listdir(folder))
        import other
        print(other.__file__ == f"{folder}/other/__init__.py", sorted(os.listdir(folder)))
    """
    assert printed(code, FILES, env={"TMPDIR": str(place)}) == [
        str(place),
        f"a,b True {ROOT}/plain/__init__.py",
        "True",
        "['0o700', '0o600']",
        "started",
        r"b'a,b\n'",
        "True",
        "['inner'] ['package']",
        "True ['other', 'package']",
    ]


def test_folder_is_removed_at_exit(place: Path) -> None:
    env = {"TMPDIR": str(place)}
    ending = "import package, sys, threading\nprint(len(sys.modules) > 0)\n"
    assert printed(ending, FILES, env=env) == ["True"]
    assert folders_in(place) == []


def test_forked_child_does_not_remove_folder(place: Path) -> None:
    code = """
        import multiprocessing, os, package, plain
        def exit_normally():
            import ctypes
            ctypes.CDLL(None).exit(0)
        from falco_plugin import _core
        os.register_at_fork(before=_core.before_fork, after_in_child=_core.after_fork_in_child)
        process = multiprocessing.Process(target=exit_normally)
        process.start()
        process.join()
        print(os.path.exists(os.path.dirname(package.__file__)))
    """
    assert printed(code, FILES, env={"TMPDIR": str(place)}) == ["True"]


def test_leftovers_of_killed_processes_are_removed(place: Path) -> None:
    """Only those of this user that no process has locked. Links in them are not followed."""
    kept = place / "kept"
    kept.mkdir()
    (kept / "file").touch()
    env = {"TMPDIR": str(place)}
    killed = "import os, signal, package\nos.kill(os.getpid(), signal.SIGKILL)"
    assert run_bundled(killed, FILES, env=env).status == -9
    (left,) = folders_in(place)
    (left / "link").symlink_to(kept)
    (left / "dangling").symlink_to(place / "absent")
    (place / "falco-plugin-files-link").symlink_to(kept)
    (place / "falco-plugin-files-open").mkdir(0o755)
    (place / "falco-plugin-files-file").touch()
    code = """
        import glob, os, package, sys
        with open(sys.argv[0] and os.devnull):
            print(len(glob.glob(os.environ["TMPDIR"] + "/falco-plugin-files-*")))
    """
    assert printed(code, FILES, env=env) == ["4"]
    assert [path.name.rpartition("-")[2] for path in folders_in(place)] == ["file", "link", "open"]
    assert (kept / "file").exists()


def test_folder_of_live_process_is_kept(place: Path) -> None:
    code = """
        import os, package, subprocess, sys
        folder = os.path.dirname(os.path.dirname(package.__file__))
        from falco_plugin._runtime import locked_folder
        locked_folder.remove_leftovers(os.environ["TMPDIR"], "falco-plugin-files-")
        print(os.path.exists(folder))
    """
    assert printed(code, FILES, env={"TMPDIR": str(place)}) == ["True"]


REPORT_PLACE = """
    import os, package
    print(os.path.dirname(os.path.dirname(os.path.dirname(package.__file__))))
"""


@pytest.mark.parametrize("kind", ["writable by others", "absent", "link to one writable by others", "relative", "file"])
def test_unsafe_place_is_not_used(place: Path, kind: str) -> None:
    chosen = place / "chosen"
    if kind == "writable by others":
        chosen.mkdir()
        chosen.chmod(0o777)
    elif kind == "file":
        chosen.touch()
    elif kind.startswith("link"):
        target = place / "target"
        target.mkdir()
        target.chmod(0o777)
        chosen.symlink_to(target)
    env = {"TMPDIR": "chosen" if kind == "relative" else str(chosen)}
    (used,) = printed(REPORT_PLACE, FILES, env=env)
    assert used in ("/run", "/dev/shm", "/tmp", "/var/tmp")


def test_place_with_sticky_bit_and_link_are_used(place: Path) -> None:
    sticky = place / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    (place / "link").symlink_to("sticky")
    assert printed(REPORT_PLACE, FILES, env={"TMPDIR": str(place / "link")}) == [str(place / "link")]
    assert stat.S_IMODE(os.stat(sticky).st_mode) == 0o1777


def test_missing_place_is_clear_import_error(place: Path) -> None:
    code = """
        from falco_plugin._runtime.bundle import private_folder
        private_folder._places = lambda: ["/nonexistent", "/proc", "/nonexistent"]
        import plain
        try:
            import package
        except ImportError as error:
            print(error)
    """
    (message,) = printed(code, FILES)
    assert message.startswith("package needs its files in a folder: cannot make a private folder (")
    assert "/nonexistent: No such file or directory" in message
    assert message.count("/nonexistent") == 1
    assert "/proc: " in message
    assert message.endswith("set TMPDIR to a writable folder of Falco's user")


def test_full_disk_is_clear_import_error(place: Path) -> None:
    code = """
        import errno, os
        from falco_plugin._runtime.bundle import real_files

        def write_file(path, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        real_files.write_file = write_file
        try:
            import package
        except ImportError as error:
            print(error)
    """
    (message,) = printed(code, FILES, env={"TMPDIR": str(place)})
    assert message.startswith(f"package needs its files in a folder: cannot write to {place}/falco-plugin-files-")
    assert message.endswith(" (No space left on device): set TMPDIR to a folder with more space")
