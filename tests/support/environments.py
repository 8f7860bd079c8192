"""A Python environment with the SDK's wheel and pytest, as a user has it. It is kept while the package is unchanged."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import sys
from pathlib import Path

from support.hosts import environment, run
from support.paths import REPOSITORY

_PACKAGE = REPOSITORY / "python" / "falco_plugin"
_KEPT = REPOSITORY / "target" / "environments"
_CARGO_TARGET = REPOSITORY / "target" / f"python-{sys.version_info.major}.{sys.version_info.minor}"


def sdk_environment() -> Path:
    """Returns the folder of the environment. Only one test process makes it."""
    folder = _KEPT / _version_of_the_package()
    complete = folder / "complete"
    _KEPT.mkdir(parents=True, exist_ok=True)
    with (_KEPT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            for old in _KEPT.glob("*/"):
                shutil.rmtree(old)
            _make(folder)
            complete.touch()
    return folder


def _version_of_the_package() -> str:
    """A hash of the package's files and of this Python."""
    found = hashlib.sha256(f"{sys.version} {sys.executable}".encode())
    for path in sorted(_PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(f"{path.relative_to(_PACKAGE)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _make(folder: Path) -> None:
    maturin = Path(sys.executable).with_name("maturin")
    build = [maturin, "build", "--release", "--interpreter", sys.executable, "--out", folder]
    cargo = environment(CARGO_TARGET_DIR=str(_CARGO_TARGET))
    for command, env in ((build, cargo), ([sys.executable, "-m", "venv", folder], None)):
        done = run(*command, env=env, cwd=REPOSITORY, timeout=280)
        assert done.status == 0, done
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = run(*pip, *folder.glob("*.whl"), "pytest", timeout=120)
    assert done.status == 0, done
