"""Runs the packer, a native program that makes the bundle of a self-contained library."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from falco_plugin._build import embedded
from falco_plugin._build.errors import TargetError


def pack(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the bundle of a plan to the plan's output.

    Args:
        plan: what the bundle contains. ``rust/packer/src/plan.rs`` describes it.

    Returns:
        The bundle's id, the version of glibc that it needs, and sizes of its parts.

    Raises:
        TargetError: the packer cannot pack an entry, read a file or write the output.
    """
    with embedded.executable("packer") as program:
        process = subprocess.run([program], input=json.dumps(plan).encode(), stdout=subprocess.PIPE, check=False)
    try:
        reply = json.loads(process.stdout)
    except ValueError:
        reason = f"ended with status {process.returncode} and no reply"
        raise TargetError(f"the packer {reason}: report this as a fault of falco-plugin-sdk") from None
    if "error" in reply:
        raise TargetError(reply["error"])
    return dict(reply)
