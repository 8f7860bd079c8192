"""The wheels that ``make wheels`` built, in minimal Debian systems without a compiler and without Rust.

``make test-wheels`` runs this. It needs debootstrap, and must run as root. Systems of another architecture need an
emulator that the kernel knows (Debian: the package qemu-user-static).
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from support.hosts import Output, run, run_command
from support.paths import REPOSITORY
from support.roots import FILES, NATIVE, run_in_root

pytestmark = [pytest.mark.wheels, pytest.mark.slow, pytest.mark.timeout(3600)]

WHEELS = REPOSITORY / "target" / "wheels"
DEPENDENCIES = REPOSITORY / "target" / "wheels-dependencies"
MISSING = "make wheels PYTHONS={python} TARGETS={architecture}"


@dataclass(frozen=True)
class System:
    """A Debian with its own Python."""

    suite: str
    python: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.suite}-{self.python}-{self.architecture}"

    def is_chosen(self) -> bool:
        """Returns whether the variables of make choose this system. By default they choose all."""
        pythons, targets = (os.environ.get(name, "").replace(",", " ").split() for name in ("PYTHONS", "TARGETS"))
        return self.python in (pythons or [self.python]) and self.architecture in (targets or [self.architecture])

    def wheels(self) -> list[Path]:
        """Returns the wheel of this Python, and the wheels of all its dependencies."""
        return [wheel(self.python, self.architecture), *dependencies(self.python, self.architecture)]

    def run(self, *commands: str) -> Output:
        """Runs shell commands in this system. Its folder `FILES` has the wheels."""
        files = {path.name: path for path in self.wheels()}
        script = ["sh", "-euc", "\n".join(commands)]
        return run_in_root(
            self.suite, files, script, packages=self.packages, architecture=self.architecture, timeout=1200
        )

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages of Debian that a user installs."""
        return (f"python{self.python}-venv" if self.suite == "sid" else "python3-venv", self.shared_library)

    @property
    def shared_library(self) -> str:
        """The package of Debian that has the shared library of this Python."""
        return f"libpython{self.python}"


RELEASES = [("bookworm", "3.11"), ("trixie", "3.13"), ("sid", "3.14"), ("sid", "3.15")]
SYSTEMS = [
    *(System(suite, python, NATIVE) for suite, python in RELEASES),
    *(System(*release, other) for release in RELEASES for other in ("x86_64", "aarch64") if other != NATIVE),
]
CHOSEN = [system for system in SYSTEMS if system.is_chosen()]


def wheel(python: str, architecture: str) -> Path:
    """Returns the wheel for a Python, which ``make wheels`` built."""
    tag = python.replace(".", "")
    found = list(WHEELS.glob(f"*-cp{tag.removesuffix('t')}-cp{tag}-*_{architecture}.whl"))
    assert len(found) == 1, f"{found}: {MISSING.format(python=python, architecture=architecture)}"
    return found[0]


def dependencies(python: str, architecture: str) -> list[Path]:
    """Returns wheels of the SDK's dependencies. Downloads them at first use."""
    folder = DEPENDENCIES / f"{python}-{architecture}"
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        platforms = [f"--platform={name}_{architecture}" for name in ("manylinux2014", "manylinux_2_17")]
        command = ["-m", "pip", "download", "--only-binary=:all:", f"--python-version={python}", *platforms]
        ran = run(sys.executable, *command, "--dest", part, wheel(python, architecture), env=os.environ)
        assert ran.status == 0, ran.stderr
        part.rename(folder)
    return [path for path in folder.iterdir() if not path.name.startswith("falco_plugin_sdk")]


INSTALL = (
    "! command -v cc gcc c++ rustc cargo",
    "cd /tmp",
    "python{python} -m venv venv",
    "PATH=/tmp/venv/bin:$PATH",
    f"pip install --quiet --no-index --find-links {FILES} {FILES}/falco_plugin_sdk-*.whl",
    "falco-plugin new demo >/dev/null",
)
RUN = "--params demo/sample.jsonl --config '{\"follow\": false}' --json"


def payloads(lines: str) -> list[str]:
    return [line["data"] for line in map(json.loads, lines.splitlines()) if line["kind"] == "event"]


@pytest.fixture(params=CHOSEN, ids=str)
def system(request: pytest.FixtureRequest) -> System:
    return request.param


def test_wheel_runs_and_builds_plugin_without_compiler(system: System) -> None:
    ran = system.run(
        *(line.replace("{python}", system.python) for line in INSTALL),
        f"falco-plugin run demo {RUN}",
        "echo",
        "falco-plugin build demo >&2",
        "python -c \"from falco_plugin._build import embedded; open('host', 'wb').write(embedded.read('host'))\"",
        "chmod +x host",
        # The library brings its own Python.
        "rm -rf venv demo/*.py /usr/bin/python* /usr/lib/python* /usr/lib/*/libpython*",
        f"./host run libdemo.so {RUN}",
    )
    assert ran.status == 0, ran.stdout + ran.stderr
    sample = payloads(ran.stdout.split("\n\n")[0])
    assert len(sample) > 1
    assert payloads(ran.stdout.split("\n\n")[1]) == sample
    assert f"Python {system.python}" in ran.stderr


STEPS = {
    "pip install": f"venv/bin/pip install --quiet --no-index --find-links {FILES} {FILES}/falco_plugin_sdk-*.whl",
    "new": "venv/bin/falco-plugin new demo",
    "run": f"venv/bin/falco-plugin run {RUN} demo",
    "build": "venv/bin/falco-plugin build demo",
    "package": "venv/bin/falco-plugin package --allow development-id -o package *.so",
}
"""The commands from an installation to a package, in a system that has only Python and pip."""


def test_each_step_from_wheel_to_package(system: System) -> None:
    timed = [
        f"began=$(date +%s%N); {command} >output 2>&1 || {{ cat output; exit 1; }}; "
        f'echo "{step}: $((($(date +%s%N) - began) / 1000000)) ms"'
        for step, command in STEPS.items()
    ]
    ran = system.run("cd /tmp", f"python{system.python} -m venv venv", *timed, "cat package/index.json")
    assert ran.status == 0, ran.stdout + ran.stderr
    *times, index = ran.stdout.splitlines()
    # `pytest -s` shows the times.
    print(system, *times, sep="\n")
    assert [line.partition(":")[0] for line in times] == list(STEPS)
    (plugin,) = json.loads(index)["manifests"]
    assert plugin["annotations"]["org.opencontainers.image.ref.name"] == "0.1.0"


BUILD_AND_PRINT = (
    *(line.replace("{python}", RELEASES[0][1]) for line in INSTALL),
    "falco-plugin build demo >&2",
    "base64 libdemo.so",
)


@pytest.mark.skipif({system.architecture for system in CHOSEN} < {"x86_64", "aarch64"}, reason="one architecture only")
def test_libraries_of_two_architectures_make_one_package(tmp_path: Path) -> None:
    libraries = []
    for system in SYSTEMS:
        if (system.suite, system.python) == RELEASES[0]:
            ran = system.run(*BUILD_AND_PRINT)
            assert ran.status == 0, ran.stderr
            libraries.append(tmp_path / f"libdemo.{system.architecture}.so")
            libraries[-1].write_bytes(base64.b64decode(ran.stdout))
    folder = tmp_path / "package"
    packaged = run_command("package", *libraries, "-o", folder, "--allow", "development-id")
    assert packaged.status == 0, packaged.stderr
    (index,) = json.loads((folder / "index.json").read_text())["manifests"]
    algorithm, digest = index["digest"].split(":")
    manifests = json.loads((folder / "blobs" / algorithm / digest).read_text())["manifests"]
    platforms = {manifest["platform"]["architecture"] for manifest in manifests if "platform" in manifest}
    # The bill of materials has the platform "unknown", so that no client takes it for the plugin.
    assert platforms == {"amd64", "arm64", "unknown"}


def test_commands_name_package_of_missing_shared_library(system: System) -> None:
    ran = system.run(
        f"dpkg --remove {system.shared_library} >/dev/null",
        *(line.replace("{python}", system.python) for line in INSTALL),
        "! falco-plugin build demo",
        f"! falco-plugin run demo {RUN}",
    )
    assert ran.status == 0, ran.stdout + ran.stderr
    assert ran.stderr.count(f"apt-get install {system.shared_library}\n") == 2, ran.stderr


def test_pip_refuses_wheel_of_another_platform(system: System) -> None:
    other = next(name for name in ("x86_64", "aarch64") if name != system.architecture)
    name = wheel(system.python, system.architecture).name
    ran = system.run(
        f"python{system.python} -m venv /tmp/venv",
        f"cp {FILES}/{name} /tmp/{name.replace(system.architecture, other)}",
        "! /tmp/venv/bin/pip install --no-index /tmp/*.whl",
    )
    assert ran.status == 0, ran.stdout + ran.stderr
    assert "is not a supported wheel on this platform" in ran.stderr


def test_wheel_has_bill_of_materials_with_embedded_programs(system: System) -> None:
    with zipfile.ZipFile(wheel(system.python, system.architecture)) as archive:
        (name,) = (name for name in archive.namelist() if ".dist-info/sboms/" in name)
        text = archive.read(name).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    names = {component["name"] for component in json.loads(text)["components"]}
    assert names >= {"falco-plugin-stub", "falco-plugin-host", "falco-plugin-packer", "pyo3", "lexopt", "blake3"}
    assert str(REPOSITORY) not in text


def test_source_distribution_has_all_files_of_package() -> None:
    (archive,) = WHEELS.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    package = run("git", "ls-files", "python", "rust/stub", env=os.environ, cwd=REPOSITORY).stdout.splitlines()
    assert set(package) <= names
    assert not [name for name in names if "target/" in name or name.endswith(".so")]


def test_source_distribution_builds_wheel(tmp_path: Path) -> None:
    (archive,) = WHEELS.glob("*.tar.gz")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, archive]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert len(list(tmp_path.glob("*.whl"))) == 1
