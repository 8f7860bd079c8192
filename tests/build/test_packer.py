"""The packer, and the programs that are embedded in the native core."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from falco_plugin import _core
from falco_plugin._build import embedded, packer
from falco_plugin._build.errors import TargetError


def plan_of(folder: Path, *entries: dict[str, Any]) -> dict[str, Any]:
    """A plan that writes a bundle into a folder."""
    output = str(folder / "bundle")
    return {"output": output, "plugin": "test", "cache": None, "debug_symbols": False, "level": 1, "entries": entries}


def test_packer_writes_the_bundle(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"0123456789")
    module = {"kind": "module", "name": "a", "group": "a", "source": [str(blob), 2, 3]}
    file = {"kind": "file", "name": "a.txt", "group": "a", "source": str(blob)}
    reply = packer.pack(plan_of(tmp_path, module, file))
    bundle = (tmp_path / "bundle").read_bytes()
    assert bundle[:24] == b"FPBUNDL2" + reply["id"].encode()
    assert (reply["size"], reply["glibc"], reply["entries"]) == (len(bundle), "", [])
    assert [(group["group"], group["len"]) for group in reply["groups"]] == [("a", 13)]


def test_packer_drops_the_embedded_programs_from_the_core(tmp_path: Path) -> None:
    libpython = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))
    library = {"kind": "library", "name": libpython.name, "path": str(libpython)}
    core = {"kind": "extension", "name": "falco_plugin._core", "path": _core.__file__}
    entries = packer.pack(plan_of(tmp_path, library, core))["entries"]
    sizes = {entry["name"]: entry["len"] for entry in entries}
    programs = len(embedded.read("host")) + len(embedded.read("packer"))
    # The new segment is much smaller than the programs.
    assert sizes["falco_plugin._core"] < Path(_core.__file__).stat().st_size - programs * 0.9


def test_pack_raises_the_error_of_the_packer(tmp_path: Path) -> None:
    (tmp_path / "fast.so").write_text("#!/bin/sh\n")
    extension = {"kind": "extension", "name": "fast", "path": str(tmp_path / "fast.so")}
    with pytest.raises(TargetError, match=f"^cannot pack {tmp_path}/fast.so: it is not an ELF file$"):
        packer.pack(plan_of(tmp_path, extension))
    assert not (tmp_path / "bundle").exists()


def test_pack_reports_a_packer_without_a_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "read", lambda _: b"#!/bin/sh\nexit 3\n")
    with pytest.raises(TargetError, match="the packer ended with status 3 and no reply"):
        packer.pack(plan_of(tmp_path))


def test_read_reports_a_removed_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stripped = tmp_path / "core.so"
    subprocess.run(["objcopy", "--remove-section=.falco_host", str(_core.__file__), str(stripped)], check=True)
    monkeypatch.setattr(_core, "__file__", str(stripped))
    with pytest.raises(RuntimeError, match="the host is missing in .*core.so"):
        embedded.read("host")
    assert embedded.read("packer").startswith(b"\x7fELF")
