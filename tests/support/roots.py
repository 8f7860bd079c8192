"""Minimal Debian systems, in which a program runs by chroot with nothing but the given files.

They have no Python, except if a test asks for packages.
"""

from __future__ import annotations

import fcntl
import functools
import platform
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.hosts import Output, build_c_program, run
from support.paths import HOSTS, REPOSITORY

SUITES = ("bookworm", "trixie", "sid")
NATIVE = platform.machine()
"""The architecture of this machine."""
FILES = "/mnt"
"""The folder in a root that has the files of `run_in_root`."""

_ROOTS = REPOSITORY / "target" / "roots"
_USER = "1000:1000"
_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
"""Debian's names of architectures."""


@dataclass(frozen=True)
class Limits:
    """The restrictions of a root. By default, the host runs as the superuser and nothing is forbidden."""

    read_only: bool = False
    """The root file system is read-only, `/tmp` too."""
    noexec: Sequence[str] = ()
    """Folders that are mounted with `noexec`."""
    memfd: str = "allowed"
    """``allowed``; ``noexec`` for the sysctl `vm.memfd_noexec=2`; ``refused`` for a seccomp filter."""
    user: bool = False
    """The host runs as an ordinary user."""
    proc: bool = True
    """`/proc` is mounted."""


@functools.cache
def make_root(suite: str, packages: Sequence[str] = (), architecture: str = NATIVE) -> Path:
    """Returns the folder of a minimal Debian system. Makes it with debootstrap at first use.

    Args:
        suite: the name of a release of Debian.
        packages: the packages that the system has beside the minimal ones. Without packages, it has no Python.
        architecture: of the system. Another one than this machine's needs an emulator.
    """
    folder = _ROOTS / "+".join([suite, *([] if architecture == NATIVE else [architecture]), *packages])
    _ROOTS.mkdir(parents=True, exist_ok=True)
    with (_ROOTS / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            options = [f"--arch={_DEBIAN[architecture]}"] + ([f"--include={','.join(packages)}"] if packages else [])
            made = run("debootstrap", "--variant=minbase", *options, suite, part, timeout=3000)
            assert made.status == 0, made.stdout + made.stderr
            part.rename(folder)
    if not packages:
        found = [path for path in (folder / "usr").rglob("*python*") if path.is_dir() or path.suffix != ".vim"]
        found = [path for path in found if "share" not in path.relative_to(folder).parts]
        assert not found, f"the root must have no Python: {found}"
    return folder


def run_in_root(
    suite: str,
    files: Mapping[str, Path | bytes],
    command: Sequence[str],
    limits: Limits = Limits(),
    *,
    added: Mapping[str, bytes] | None = None,
    packages: Sequence[str] = (),
    architecture: str = NATIVE,
    timeout: float = 240,
) -> Output:
    """Runs a command in a root, with an empty environment. The root itself is not changed.

    Args:
        suite: the name of the root.
        files: the files in `FILES`, by name. They belong to the superuser and are executable.
        command: the program and its arguments.
        limits: of the root.
        added: other files in the root, by their path without the first ``/``.
        packages: see `make_root`.
        architecture: see `make_root`.
        timeout: in seconds.
    """
    root = make_root(suite, packages, architecture)
    with tempfile.TemporaryDirectory(prefix="falco-plugin-root-") as name:
        folder = Path(name)
        placed = {f"{FILES[1:]}/{name}": content for name, content in files.items()}
        for path, content in {**placed, **(added or {})}.items():
            target = folder / "upper" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
            target.chmod(0o755)
        script = "\n".join(_script(root, folder, command, limits))
        return run(
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-ec",
            script,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            timeout=timeout,
        )


def _script(root: Path, folder: Path, command: Sequence[str], limits: Limits) -> list[str]:
    """Returns the lines of the shell that runs in separate namespaces."""
    # An overlay on a tmpfs keeps the root as it is.
    memory, mounted = folder / "memory", folder / "root"
    lines = [
        f"mkdir {memory} {mounted}",
        f"mount -t tmpfs none {memory}",
        f"mkdir {memory}/work",
        f"cp -a {folder}/upper {memory}/upper",
        f"mount -t overlay none -o lowerdir={root},upperdir={memory}/upper,workdir={memory}/work {mounted}",
    ]
    if limits.proc:
        lines.append(f"mount -t proc none {mounted}/proc")
    lines += [f"mount -t tmpfs -o noexec,mode=1777 none {mounted}{path}" for path in limits.noexec]
    if limits.read_only:
        lines.append(f"mount -o remount,ro {mounted}")
    if limits.memfd == "noexec":
        # The setting belongs to the namespace of processes.
        lines.append("echo 2 >/proc/sys/vm/memfd_noexec")
    wrapper = [str(refuse_memfd_path())] if limits.memfd == "refused" else []
    user = [f"--userspec={_USER}"] if limits.user else []
    lines.append(shlex.join(["exec", *wrapper, "chroot", *user, str(mounted), *command]))
    return lines


@functools.cache
def refuse_memfd_path() -> Path:
    """Returns the program that runs a command whose `memfd_create` fails."""
    return build_c_program("refuse_memfd", [HOSTS / "roots" / "refuse_memfd.c"])
