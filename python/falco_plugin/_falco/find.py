"""Finds a Falco: an executable of this machine, or a container image."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from falco_plugin._falco.errors import FalcoError, NoFalcoError

IMAGE = "docker.io/falcosecurity/falco:latest"
"""The official image, which is used if there is no executable. Podman has no default registry, so it is named."""
VARIABLE = "FALCO"
"""The variable that names the Falco to use."""
_CONTAINER_PROGRAMS = ("docker", "podman")


@dataclass(frozen=True)
class Falco:
    """A Falco on this machine."""

    command: Sequence[str]
    """The command that runs it."""
    is_container: bool = False
    """Whether it runs in a container. It then needs a self-contained library, and sees only mounted folders."""

    def arguments(self, arguments: Iterable[str], mounts: Iterable[Path], variables: Mapping[str, str]) -> list[str]:
        """Returns the command line that runs this Falco.

        Args:
            arguments: the arguments of Falco.
            mounts: the files and folders that Falco reads, which a container gets at the same paths.
            variables: environment variables for a container. Pass them to a process, too.
        """
        if not self.is_container:
            return [*self.command, *arguments]
        program, image = self.command
        options = ["run", "--rm", "--network=host", f"--name=falco-plugin-{uuid.uuid4().hex[:12]}"]
        folder = Path.cwd()
        for path in dict.fromkeys([folder, *(path.resolve() for path in mounts)]):
            # A mount with the syntax of -v could not have a colon in its path.
            options.append(f"--mount=type=bind,readonly,source={_quoted(path)},target={_quoted(path)}")
        options += [f"--env={name}={value}" for name, value in variables.items()]
        return [program, *options, f"--workdir={folder}", image, "/usr/bin/falco", *arguments]

    def __str__(self) -> str:
        return self.command[-1]


def find(name: str | None = None) -> Falco:
    """Finds a Falco.

    Args:
        name: a path, a name on ``PATH``, or a container image. By default the variable ``FALCO`` names it, then it is
            ``falco`` on ``PATH``, and then the official image if there is docker or podman.

    Raises:
        NoFalcoError: there is no Falco on this machine.
        FalcoError: the Falco that was named cannot be run.
    """
    chosen = name or os.environ.get(VARIABLE)
    if chosen:
        return _named(chosen, "--falco" if name else VARIABLE)
    if path := shutil.which("falco"):
        return Falco([path])
    if program := _container_program():
        return Falco([program, IMAGE], is_container=True)
    raise NoFalcoError(
        f"there is no Falco: install it (https://falco.org/docs/setup/packages), or name an executable or an image "
        f"with --falco or {VARIABLE}. Docker or podman would run {IMAGE}, but {_describe_missing_program()}"
    )


def _named(name: str, option: str) -> Falco:
    path = Path(name)
    if path.is_file():
        if not os.access(path, os.X_OK):
            raise FalcoError(f"{option}: {name} is not executable: chmod +x {name}, or name another Falco")
        return Falco([str(path.resolve())])
    if path.is_dir():
        raise FalcoError(f"{option}: {name} is a folder: name the executable in it")
    if found := shutil.which(name):
        return Falco([found])
    is_image = (":" in name or "/" in name) and not name.startswith(("/", ".", "~"))
    if not is_image:
        raise FalcoError(f"{option}: there is no Falco at {name}: name an executable, or an image such as {IMAGE}")
    program = _container_program()
    if program is None:
        raise FalcoError(f"{option}: the image {name} needs docker or podman, but {_describe_missing_program()}")
    return Falco([program, name], is_container=True)


def _container_program() -> str | None:
    """Returns the first program that can run containers: docker reaches its daemon, podman has what it needs."""
    return next(filter(_runs_containers, _installed_programs()), None)


def _installed_programs() -> list[str]:
    return [path for path in map(shutil.which, _CONTAINER_PROGRAMS) if path is not None]


def _runs_containers(program: str) -> bool:
    try:
        done = subprocess.run([program, "info"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _describe_missing_program() -> str:
    if unable := _installed_programs():
        return f"{' and '.join(unable)} cannot run containers: see {unable[0]} info"
    return "neither is on PATH"


def _quoted(path: Path) -> str:
    """Returns a path as a value of ``--mount``, which is a line of CSV."""
    text = str(path)
    if any(character in text for character in ',"\n'):
        raise FalcoError(f"{text!r} cannot be mounted into a container: use a path without commas and quotes")
    return text
