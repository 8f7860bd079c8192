"""Builds and runs the native host of the soak and the reloads, and reads its output.

The code of the host is `rust/host/examples/endurance`. It drives plugins through the same C boundary as
`falco-plugin run`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_TARGET = ROOT / "target" / "rust"


class BuildError(Exception):
    """The host or a plugin could not be built."""


@dataclass(frozen=True)
class HostReport:
    """The output of a run, and the exit status of the host."""

    faults: Sequence[str]
    samples: Sequence[Mapping[str, float]]
    total: Mapping[str, Any]
    status: int


def run_command(*command: str) -> str:
    """Runs a command that builds something, and returns its output.

    Raises:
        BuildError: the command failed.
    """
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise BuildError(f"`{command[0]}` failed:\n{process.stderr or process.stdout}")
    return process.stdout


def run_host(arguments: Sequence[str], log: Callable[[str], None]) -> HostReport:
    """Builds the host, and runs it until it ends. Passes each fault and sample to `log` when it arrives.

    Raises:
        BuildError: the host cannot be built.
    """
    manifest, target = str(ROOT / "Cargo.toml"), str(_TARGET)
    package = ["--package", "falco-plugin-host", "--example", "endurance"]
    run_command("cargo", "build", "--quiet", "--release", *package, "--manifest-path", manifest, "--target-dir", target)
    # Allow a checkout that does not belong to root.
    env = {**os.environ, "FALCO_PLUGIN_ALLOW_WRITABLE": "1"}
    faults, samples, total = list[str](), list[dict[str, float]](), {}
    command = [str(_TARGET / "release" / "examples" / "endurance"), *arguments]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            reported = json.loads(line)
            if "fault" in reported:
                faults.append(reported["fault"])
                log(f"FAULT {reported['fault']}")
            elif "sample" in reported:
                samples.append(_sample(reported["sample"]))
                log(", ".join(f"{name} {value:,.0f}" for name, value in samples[-1].items()))
            else:
                total = reported["total"]
    return HostReport(faults, samples, total, process.returncode)


def _sample(reported: dict[str, Any]) -> dict[str, float]:
    """Returns the figures of a sample. The plugin describes the interpreter by its suggested open parameters."""
    (param,) = reported.pop("python")
    return {**reported, **json.loads(param["value"])}
