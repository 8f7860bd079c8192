"""Python environments with the SDK's wheel, as users have them. They are kept while the package is unchanged.

``python -m support.environments PYTHON PACKAGE…`` prints the folder of one.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from support.hosts import environment, run
from support.paths import REPOSITORY

_PACKAGE = REPOSITORY / "python" / "falco_plugin"
_KEPT = REPOSITORY / "target" / "environments"
DESCRIBE = "import sys; print('%d.%d' % sys.version_info[:2] + sys.abiflags, sys.version, sys.base_prefix)"
"""Prints the version of a Python as file names have it, then what distinguishes it from others at the same path."""


@functools.cache
def sdk_environment(packages: Sequence[str] = ("pytest",), python: str = sys.executable) -> Path:
    """Returns the folder of an environment of `python` with the SDK and packages. Only one test process makes it."""
    described = run(python, "-c", DESCRIBE).stdout
    assert described, f"{python} is not a Python"
    version = described.split(maxsplit=1)[0]
    # Another Python may have the same path later.
    kind = hashlib.sha256(" ".join([python, described, *packages]).encode()).hexdigest()[:8]
    folder = _KEPT / f"{kind}-{_hash_package()}"
    complete = folder / "complete"
    _KEPT.mkdir(parents=True, exist_ok=True)
    with (_KEPT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            for old in _KEPT.glob(f"{kind}-*/"):
                shutil.rmtree(old)
            _make(folder, packages, python, version)
            complete.touch()
    return folder


def _hash_package() -> str:
    """Returns a hash of the package's files. The extension module stands for the code in Rust."""
    found = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(f"{path.relative_to(_PACKAGE)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def _make(folder: Path, packages: Sequence[str], python: str, version: str) -> None:
    maturin = Path(sys.executable).with_name("maturin")
    build = [maturin, "build", "--release", "--interpreter", python, "--out", folder]
    cargo = environment(CARGO_TARGET_DIR=str(REPOSITORY / "target" / f"python-{version}"))
    for command, env in ((build, cargo), ([python, "-m", "venv", folder], None)):
        done = run(*command, env=env, cwd=REPOSITORY, timeout=900)
        assert done.status == 0, done
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = run(*pip, *folder.glob("*.whl"), *packages, timeout=300)
    assert done.status == 0, done


if __name__ == "__main__":
    _, python, *packages = sys.argv
    print(sdk_environment(tuple(packages), python))
