"""Tests ``tools/publish`` with crane and its registry on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hosts import Output, run
from support.paths import REPOSITORY

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CRANE = REPOSITORY / "target" / "tools" / "bin" / "crane"


def write_layout(folder: Path, version: str, content: bytes) -> str:
    """Writes an OCI layout with one manifest and one layer. Returns the digest of the manifest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def add(data: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    config = add(b"{}", "application/vnd.cncf.falco.plugin.config.v1+json")
    layer = add(content, "application/vnd.cncf.falco.plugin.layer.v1+tar.gz")
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    entry = add(json.dumps(manifest).encode(), MANIFEST)
    entry["annotations"] = {"org.opencontainers.image.ref.name": version}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(entry["digest"])


@pytest.fixture(scope="session")
def crane() -> Path:
    """Returns the path of crane, which is compiled at first use."""
    if shutil.which("go") is None and os.environ.get("CI") != "true":
        pytest.skip("crane needs Go, which is not installed")
    environment = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    made = run("make", CRANE.relative_to(REPOSITORY), env=environment, cwd=REPOSITORY)
    assert made.status == 0, made.stderr
    return CRANE


@pytest.fixture
def registry(crane: Path) -> Iterator[str]:
    """Returns the address of an empty registry."""
    with subprocess.Popen(
        [crane, "registry", "serve", "--address", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    ) as served:
        assert served.stderr is not None
        address = re.search(r"port (\d+)", served.stderr.readline())
        assert address is not None
        yield f"127.0.0.1:{address[1]}/example"
        served.terminate()


def publish(registry: str, *layouts: Path) -> Output:
    return run(REPOSITORY / "tools" / "publish", registry, *layouts, env={**os.environ, "CRANE": str(CRANE)})


def digest_in(registry: str, name: str) -> str:
    return run(CRANE, "digest", f"{registry}/{name}").stdout.strip()


def test_published_layouts_are_printed_with_their_digests(registry: str, tmp_path: Path) -> None:
    digests = {
        name: write_layout(tmp_path / name, version, name.encode())
        for name, version in [("tail", "0.2.0"), ("tail-rules", "0.1.0")]
    }
    done = publish(registry, tmp_path / "tail", tmp_path / "tail-rules")
    assert done.status == 0, done.stderr
    assert done.stdout.splitlines() == [f"{registry}/{name}@{digest}" for name, digest in digests.items()]
    assert digest_in(registry, "tail:0.2.0") == digests["tail"]
    assert digest_in(registry, "tail-rules:0.1.0") == digests["tail-rules"]


def test_same_contents_can_be_published_again(registry: str, tmp_path: Path) -> None:
    write_layout(tmp_path / "tail", "0.2.0", b"library")
    first, second = (publish(registry, tmp_path / "tail") for _ in range(2))
    assert (first.status, second.status) == (0, 0)
    assert first.stdout == second.stdout


def test_existing_version_is_not_replaced(registry: str, tmp_path: Path) -> None:
    first = write_layout(tmp_path / "first" / "tail", "0.2.0", b"library")
    assert publish(registry, tmp_path / "first" / "tail").status == 0
    write_layout(tmp_path / "second" / "tail", "0.2.0", b"another library")
    write_layout(tmp_path / "second" / "json", "0.2.0", b"new")
    refused = publish(registry, tmp_path / "second" / "json", tmp_path / "second" / "tail")
    assert refused.status == 1
    assert refused.stdout == ""
    assert refused.stderr == f"{registry}/tail:0.2.0 exists with other contents: raise the version of the plugin\n"
    assert digest_in(registry, "tail:0.2.0") == first
    assert digest_in(registry, "json:0.2.0") == ""


def test_unreachable_registry_is_reported(crane: Path, tmp_path: Path) -> None:
    write_layout(tmp_path / "tail", "0.2.0", b"library")
    failed = publish("127.0.0.1:1/example", tmp_path / "tail")
    assert failed.status == 1
    assert "connection refused" in failed.stderr


def check_packages(*layouts: Path) -> Output:
    return run(REPOSITORY / "tools" / "check-packages", *layouts, env={**os.environ, "CRANE": str(CRANE)})


def test_check_pulls_what_was_pushed(crane: Path, tmp_path: Path) -> None:
    names = ["json", "tail"]
    digests = [write_layout(tmp_path / name, "0.2.0", name.encode()) for name in names]
    done = check_packages(*(tmp_path / name for name in names))
    assert done.status == 0, done.stderr
    lines = [f"packages/{name}@{digest}: pulled" for name, digest in zip(names, digests, strict=True)]
    assert [line.removesuffix(" as it was pushed") for line in done.stdout.splitlines()] == lines


def test_check_reports_damaged_layout(crane: Path, tmp_path: Path) -> None:
    write_layout(tmp_path / "tail", "0.2.0", b"library")
    (layer,) = (path for path in (tmp_path / "tail" / "blobs" / "sha256").iterdir() if path.read_bytes() == b"library")
    layer.write_bytes(b"another")
    assert check_packages(tmp_path / "tail").status == 1
