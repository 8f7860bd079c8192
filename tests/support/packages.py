"""Plugins that tests package, and readers of the layouts that ``falco-plugin package`` writes."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.hosts import Output, go_program, run, run_command
from support.libraries import simple_plugin

ID = 1_734_569_999
SOURCE = simple_plugin("packaged", f"id = {ID}\ncontact = 'https://example.org'\n")
FIELDS = """
from falco_plugin import Plugin, field

class Fields(Plugin):
    name = "packaged"
    version = "1.2.3"
    extract_event_sources = ("one", "two")

    @field("packaged.size", desc="Size")
    def size(self, event) -> int:
        return len(event.data)
"""
PLUGIN = "application/vnd.cncf.falco.plugin."
RULESFILE = "application/vnd.cncf.falco.rulesfile."
SBOM = "application/vnd.cyclonedx+json"
Change = Callable[..., Path]
LINKED = ("--allow", "linked")


RULES = """\
- required_engine_version: 0.31.0

- required_plugin_versions:
    - name: packaged
      version: 0.1.0

- rule: Packaged
  desc: A rule
  source: packaged
  condition: evt.num > 0
  output: An event
  priority: INFO
"""


def for_aarch64(path: Path, folder: Path) -> Path:
    """Returns a copy of a library that claims to be for aarch64. It is never run."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, 18, 183)
    copy = folder / f"aarch64-{path.name}"
    copy.write_bytes(data)
    return copy


def compile_library(folder: Path, name: str, version: str = "1.0.0", plugin_id: int = ID) -> Path:
    """Compiles an event source with another SDK: plain C."""
    (folder / f"{name}.c").write_text(f"""
        #include <stdint.h>
        const char *plugin_get_required_api_version(void) {{ return "3.4.0"; }}
        const char *plugin_get_version(void) {{ return "{version}"; }}
        const char *plugin_get_name(void) {{ return "{name}"; }}
        const char *plugin_get_description(void) {{ return "In C"; }}
        const char *plugin_get_contact(void) {{ return ""; }}
        const char *plugin_get_last_error(void *state) {{ return ""; }}
        void *plugin_init(const void *in, int32_t *rc) {{ *rc = 0; return (void *)1; }}
        void plugin_destroy(void *state) {{}}
        uint32_t plugin_get_id(void) {{ return {plugin_id}u; }}
        const char *plugin_get_event_source(void) {{ return "foreign"; }}
        void *plugin_open(void *state, const char *params, int32_t *rc) {{ *rc = 0; return (void *)1; }}
        void plugin_close(void *state, void *instance) {{}}
        int32_t plugin_next_batch(void *state, void *instance, uint32_t *n, void ***events) {{ *n = 0; return 2; }}
    """)
    path = folder / f"lib{name}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, folder / f"{name}.c"], check=True)
    return path


def package(*arguments: object, folder: Path) -> Output:
    return run_command("package", *arguments, "-o", folder)


def artifacts(ran: Output) -> list[dict[str, Any]]:
    assert ran.status == 0, ran.stderr
    return json.loads(ran.stdout)["artifacts"]


def blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/", 1)).read_bytes()


def document(layout: Path, digest: str) -> dict[str, Any]:
    return json.loads(blob(layout, digest))


def root(layout: Path) -> dict[str, Any]:
    """The descriptor of the only artifact of a layout."""
    (found,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    return found


def manifests(layout: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The descriptors of the manifests of a plugin's artifact, each with its manifest."""
    index = document(layout, root(layout)["digest"])
    return [(entry, document(layout, entry["digest"])) for entry in index["manifests"]]


def members(layer: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return [(entry, archive.extractfile(entry).read()) for entry in archive]


def oci(layout: Path, folder: Path) -> dict[str, Any]:
    """Validates, pushes and pulls a layout with the library of another client."""
    folder.mkdir(exist_ok=True)
    ran = run(go_program("oci"), layout, folder)
    assert ran.status == 0, ran.stderr
    (found,) = ran.lines
    return found
