"""Packages that the clients crane and oras push to a registry, and pull from it. ``make test-package`` runs this."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hosts import native_path, run
from support.packages import RULES, SBOM, artifacts, for_aarch64, members, package
from support.paths import REPOSITORY

pytestmark = [pytest.mark.package, pytest.mark.slow]

TOOLS = REPOSITORY / "target" / "tools" / "bin"


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """Returns the address of a registry on this machine, which keeps its content in memory."""
    command = [TOOLS / "crane", "registry", "serve", "--address", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        port = re.search(r"serving on port (\d+)", process.stderr.readline())
        yield f"127.0.0.1:{port[1]}"
        process.terminate()
        process.communicate()


@pytest.fixture(scope="module")
def layout(self_contained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A layout for two architectures; that of its rules is beside it."""
    folder = tmp_path_factory.mktemp("layout")
    (folder / "rules.yaml").write_text(RULES)
    ran = package(
        self_contained,
        for_aarch64(self_contained, folder),
        "--rules",
        folder / "rules.yaml",
        "--json",
        folder=folder / "packaged",
    )
    artifacts(ran)
    return folder / "packaged"


def client(program: str, *arguments: object) -> str:
    ran = run(TOOLS / program, *arguments)
    assert ran.status == 0, ran.stderr
    return ran.stdout


def push(program: str, layout: Path, reference: str) -> None:
    if program == "crane":
        client("crane", "push", layout, reference)
    else:
        client("oras", "cp", "--to-plain-http", "--from-oci-layout", f"{layout}:0.1.0", reference)


def blobs(layout: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}


def root_digest(layout: Path) -> str:
    """Returns the digest of a layout's artifact. oras also lists the manifests inside it, without a tag."""
    entries = json.loads((layout / "index.json").read_bytes())["manifests"]
    (entry,) = [entry for entry in entries if len(entries) == 1 or "annotations" in entry]
    return entry["digest"]


@pytest.mark.parametrize("program", ["crane", "oras"])
@pytest.mark.parametrize("suffix", ["", "-rules"])
def test_client_pushes_and_pulls_identical_artifact(
    registry: str, layout: Path, tmp_path: Path, program: str, suffix: str
) -> None:
    source = layout.with_name(f"packaged{suffix}")
    reference = f"{registry}/{program}/packaged{suffix}:0.1.0"
    push(program, source, reference)
    assert client("crane", "digest", reference).strip() == root_digest(source)
    client("crane", "pull", "--format=oci", reference, tmp_path / "crane")
    client("oras", "cp", "--from-plain-http", "--to-oci-layout", reference, f"{tmp_path / 'oras'}:0.1.0")
    for puller in ("crane", "oras"):
        assert root_digest(tmp_path / puller) == root_digest(source)
        assert blobs(tmp_path / puller) == blobs(source)


@pytest.mark.parametrize("program", ["crane", "oras"])
def test_oras_discovers_bill_of_materials(registry: str, layout: Path, program: str) -> None:
    reference = f"{registry}/{program}/discovered:0.1.0"
    push(program, layout, reference)
    for platform in ("linux/amd64", "linux/arm64"):
        found = client("oras", "discover", "--plain-http", "--platform", platform, "--format", "json", reference)
        (referrer,) = json.loads(found)["referrers"]
        manifest = json.loads(client("crane", "manifest", f"{reference.removesuffix(':0.1.0')}@{referrer['digest']}"))
        assert manifest["artifactType"] == SBOM


def test_pulled_library_runs(registry: str, layout: Path, tmp_path: Path) -> None:
    reference = f"{registry}/run/packaged:0.1.0"
    push("oras", layout, reference)
    client("oras", "pull", "--plain-http", "--platform", "linux/amd64", "--output", tmp_path, reference)
    (archive,) = tmp_path.iterdir()
    assert archive.name == "packaged-0.1.0-linux-x86_64.tar.gz"
    ((entry, content),) = members(archive.read_bytes())
    (tmp_path / entry.name).write_bytes(content)
    ran = run(native_path(), "run", tmp_path / entry.name, "--json")
    assert ran.status == 0, ran.stderr
    assert [line["data"] for line in ran.lines if line["kind"] == "event"] == ["one", "two"]
