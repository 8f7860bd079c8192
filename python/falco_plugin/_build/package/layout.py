"""OCI image layouts: folders of blobs that clients of OCI registries push."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from falco_plugin._build.errors import TargetError

Descriptor = dict[str, Any]

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
FALCO = "application/vnd.cncf.falco."
"""The beginning of the media types of Falco's artifacts."""
TITLE = "org.opencontainers.image.title"
REFERENCE = "org.opencontainers.image.ref.name"

_VERSION = "1.0.0"
"""The version of the format."""
_FILES = frozenset({"oci-layout", "index.json", "blobs"})
_FILE_MODE = 0o644
"""The mode of packaged files. Clients install them with it, and Falco only reads them."""
_GZIP = 31
"""The window of zlib for the format of gzip, without a time."""


class Layout:
    """A layout with one artifact, which can be pushed without naming it."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        """By digest."""
        self._root: Descriptor | None = None

    def add(self, data: bytes, media_type: str, **more: Any) -> Descriptor:
        """Adds a blob, and returns its descriptor with further members."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data), **more}

    def add_json(self, value: Mapping[str, Any], media_type: str, **more: Any) -> Descriptor:
        """Adds a JSON document."""
        return self.add(_dump(value), media_type, **more)

    def set_root(self, root: Descriptor, reference: str) -> None:
        """Sets the artifact of the layout, and its tag."""
        self._root = {**root, "annotations": {REFERENCE: reference}}

    def write(self, folder: Path) -> None:
        """Writes the layout into a new folder, or replaces the layout of a Falco artifact.

        Raises:
            OSError: the folder cannot be written.
        """
        assert self._root is not None
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [self._root]}
        folder.mkdir(parents=True, exist_ok=True)
        # In the folder itself, which may be a mounted one.
        with tempfile.TemporaryDirectory(prefix=".falco-plugin-", dir=folder) as temporary:
            written = Path(temporary)
            blobs = written / "blobs" / "sha256"
            blobs.mkdir(parents=True)
            for digest, data in self.blobs.items():
                (blobs / digest.partition(":")[2]).write_bytes(data)
            (written / "oci-layout").write_bytes(_dump({"imageLayoutVersion": _VERSION}))
            (written / "index.json").write_bytes(_dump(index))
            # Without its index, a folder is not a layout: it is never one with missing blobs.
            (folder / "index.json").unlink(missing_ok=True)
            shutil.rmtree(folder / "blobs", ignore_errors=True)
            for name in ("blobs", "oci-layout", "index.json"):
                (written / name).replace(folder / name)


def check_folder(folder: Path) -> None:
    """Checks that a layout may be written as `folder`.

    Raises:
        TargetError: the folder has something else than the layout of a Falco artifact.
    """
    try:
        if not folder.exists() and not folder.is_symlink():
            return
        if not folder.is_dir():
            raise TargetError(f"{folder} is not a folder: name a folder that does not exist yet, or is empty")
        found = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise TargetError(f"cannot read {folder}: {error.strerror}") from None
    if found and not (found == _FILES and _has_falco_artifact(folder)):
        raise TargetError(
            f"{folder} has other files, which would be lost: name a folder that does not exist yet, is empty, or was "
            "written by this command"
        )


def _has_falco_artifact(folder: Path) -> bool:
    """Returns whether all artifacts of a layout are Falco's."""

    def media_type(descriptor: Descriptor) -> str:
        content = json.loads((folder / "blobs" / descriptor["digest"].replace(":", "/", 1)).read_bytes())
        inner = content.get("manifests")
        return media_type(inner[0]) if inner else str(content["config"]["mediaType"])

    try:
        entries = json.loads((folder / "index.json").read_bytes())["manifests"]
        return all(media_type(entry).startswith(FALCO) for entry in entries)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False


def tar_gz(name: str, data: bytes) -> bytes:
    """Returns a compressed archive with one file. The same content always gives the same bytes."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        entry.mode = _FILE_MODE
        archive.addfile(entry, io.BytesIO(data))
    return zlib.compress(output.getvalue(), wbits=_GZIP)


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
