"""The temporary folders of the command."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.hosts import environment, run
from support.libraries import simple_plugin, write_sources

from falco_plugin._build import temporary

KILLED = """
    import os, signal, sys
    from falco_plugin._build import temporary
    with temporary.folder() as folder:
        (folder / "data").write_bytes(b"data")
        os.kill(os.getpid(), signal.SIGKILL)
"""
COMMAND = [sys.executable, "-m", "falco_plugin"]


@pytest.mark.parametrize("command", ["info", "build"])
def test_command_removes_folder_of_killed_command(tmp_path: Path, command: str) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    env = environment(TMPDIR=str(place))
    write_sources(tmp_path, {"killed.py": KILLED, "plugin.py": simple_plugin("plugin")})
    assert run(sys.executable, tmp_path / "killed.py", env=env).status == -signal.SIGKILL
    (left,) = place.iterdir()
    assert [path.name for path in left.iterdir()] == ["data"]
    ran = run(*COMMAND, command, "plugin.py", env=env, cwd=tmp_path)
    assert ran.status == 0, ran.stderr
    assert list(place.iterdir()) == []


def test_folder_of_running_command_is_kept(tmp_path: Path) -> None:
    code = """
        import os, subprocess, sys
        from falco_plugin._build import temporary
        with temporary.folder() as folder:
            if len(sys.argv) == 1:
                subprocess.run([sys.executable, __file__, "inner"], check=True)
            print(len(os.listdir(folder.parent)))
    """
    write_sources(tmp_path, {"running.py": code})
    place = tmp_path / "temporary"
    place.mkdir()
    ran = run(sys.executable, tmp_path / "running.py", env=environment(TMPDIR=str(place)))
    assert ran.stdout.split() == ["2", "1"], ran.stderr


def test_commands_at_the_same_time_keep_each_others_folders() -> None:
    def use(number: int) -> str:
        with temporary.folder() as folder:
            (folder / "file").write_text(str(number))
            return (folder / "file").read_text()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(2000))) == [str(number) for number in range(2000)]
