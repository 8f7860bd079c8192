"""Builds the wheels and the source distribution that a release publishes, and checks them.

``make wheels`` runs this with the Python of ``target/wheels-tools``, which has maturin, Zig, auditwheel and twine. Zig
links for each architecture and for glibc 2.17. No interpreter of the chosen versions is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import check
import sbom

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.14t", "3.15")
ARCHITECTURES = ("x86_64", "aarch64")
PLATFORM = "manylinux_2_17"
"""The platform of all wheels. Its older name is manylinux2014."""

_TOOLS = Path(sys.executable).parent
_BUILD = ROOT / "target" / "wheels-build"
_WHEELS = ROOT / "target" / "wheels"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythons", type=_choices(PYTHONS), default=PYTHONS, help="such as 3.11,3.14t")
    parser.add_argument("--targets", type=_choices(ARCHITECTURES), default=ARCHITECTURES, help="such as x86_64")
    arguments = parser.parse_args()
    for architecture in arguments.targets:
        _require_standard_library(_triple(architecture))
    patterns = [_pattern(python, target) for target in arguments.targets for python in arguments.pythons]
    for stale in _find("*.tar.gz", *patterns):
        stale.unlink()
    for architecture in arguments.targets:
        _build(architecture, arguments.pythons)
    _maturin("sdist")
    wheels, archives = _find(*patterns), _find("*.tar.gz")
    if len(wheels) != len(patterns) or len(archives) != 1:
        sys.exit(f"expected {len(patterns)} wheels and a source distribution, found {[*wheels, *archives]}")
    for wheel in wheels:
        check.check_wheel(wheel, PLATFORM)
    _run(_TOOLS / "twine", "--no-color", "check", "--strict", *wheels, *archives)
    for path in (*wheels, *archives):
        platform = check.platform_tag(path) if path.suffix == ".whl" else "source"
        print(f"{path.stat().st_size:>10,} bytes  {platform:<23}  {path.relative_to(ROOT)}")


def _choices(known: tuple[str, ...]):
    def parse(value: str) -> tuple[str, ...]:
        chosen = tuple(value.replace(",", " ").split()) or known
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is unknown: choose from {','.join(known)}")
        return chosen

    return parse


def _pattern(python: str, architecture: str) -> str:
    """Returns the pattern of the name of a wheel."""
    tag = f"cp{python.replace('.', '')}"
    return f"*-{tag.removesuffix('t')}-{tag}-*_{architecture}.whl"


def _find(*patterns: str) -> list[Path]:
    return [path for pattern in patterns for path in sorted(_WHEELS.glob(pattern))]


def _triple(architecture: str) -> str:
    return f"{architecture}-unknown-linux-gnu"


def _require_standard_library(triple: str) -> None:
    """Exits if Rust cannot compile for the target."""
    command = ["rustc", "--print", "target-libdir", "--target", triple]
    folder = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    if not list(folder.glob("libstd-*.rlib")):
        sys.exit(
            f"Rust's standard library for {triple} is missing: rustup target add {triple}\n"
            "Or choose other architectures: make wheels TARGETS=x86_64"
        )


def _build(architecture: str, pythons: tuple[str, ...]) -> None:
    """Builds the wheels of one architecture. The embedded programs are compiled once, for all Pythons."""
    triple = _triple(architecture)
    materials = _BUILD / "sboms" / architecture / "falco-plugin-sdk.cdx.json"
    materials.parent.mkdir(parents=True, exist_ok=True)
    materials.write_text(json.dumps(sbom.bill_of_materials(ROOT, triple), indent=1) + "\n")
    _maturin(
        "build",
        "--release",
        "--locked",
        "--zig",
        *("--target", triple),
        *("--compatibility", PLATFORM),
        *(option for python in pythons for option in ("--interpreter", f"python{python}")),
        *("--sbom-include", materials.relative_to(ROOT)),
    )


def _maturin(command: str, *options: str | Path) -> None:
    _run(_TOOLS / "maturin", command, *options, "--out", _WHEELS)


def _run(*command: str | Path) -> None:
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(_BUILD),
        "PATH": f"{_TOOLS}{os.pathsep}{os.environ['PATH']}",
    }
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
