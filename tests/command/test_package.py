"""`falco-plugin package`: the layouts that it writes."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from support.commands import check_refused
from support.hosts import go_program, run, run_command
from support.packages import (
    FIELDS,
    LINKED,
    PLUGIN,
    RULES,
    SBOM,
    SOURCE,
    Change,
    artifacts,
    blob,
    compile_library,
    document,
    for_aarch64,
    manifests,
    members,
    oci,
    package,
    root,
)

# Layouts


def test_package_has_platform_and_requirements(linked: Path, tmp_path: Path) -> None:
    (artifact,) = artifacts(package(linked, *LINKED, "--json", folder=tmp_path / "out"))
    (file,) = artifact["files"]
    assert (artifact["type"], artifact["name"], artifact["version"]) == ("plugin", "packaged", "0.1.0")
    assert root(tmp_path / "out") == {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": artifact["digest"],
        "size": len(blob(tmp_path / "out", artifact["digest"])),
        "annotations": {"org.opencontainers.image.ref.name": "0.1.0"},
    }
    ((entry, manifest),) = manifests(tmp_path / "out")
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}
    assert entry["artifactType"] == f"{PLUGIN}config.v1+json"
    assert (file["platform"], file["digest"], file["sbom"]) == ("linux/amd64", entry["digest"], None)
    assert manifest["config"]["mediaType"] == f"{PLUGIN}config.v1+json"
    assert document(tmp_path / "out", manifest["config"]["digest"]) == {
        "name": "packaged",
        "version": "0.1.0",
        "requirements": [{"name": "plugin_api_version", "version": "3.5.0"}],
    }
    assert manifest["annotations"] == {
        "org.opencontainers.image.title": "packaged",
        "org.opencontainers.image.version": "0.1.0",
        "org.opencontainers.image.description": "Simple",
        "org.opencontainers.image.authors": "https://example.org",
    }


def test_layer_has_only_the_library(linked: Path, tmp_path: Path) -> None:
    artifacts(package(linked, *LINKED, "--json", folder=tmp_path / "out"))
    ((_, manifest),) = manifests(tmp_path / "out")
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == f"{PLUGIN}layer.v1+tar.gz"
    assert layer["annotations"] == {"org.opencontainers.image.title": "packaged-0.1.0-linux-x86_64.tar.gz"}
    ((entry, content),) = members(blob(tmp_path / "out", layer["digest"]))
    assert content == linked.read_bytes()
    assert entry.isreg()
    assert (entry.name, entry.mode, entry.uid, entry.gid, entry.mtime) == ("libpackaged.so", 0o644, 0, 0, 0)


def test_layout_depends_only_on_content(linked: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.so"
    shutil.copy(linked, copy)
    os.utime(copy, (1, 1))
    copy.chmod(0o600)
    for path, folder in ((linked, "one"), (copy, "two")):
        artifacts(package(path, *LINKED, "--json", folder=tmp_path / folder))
    one, two = (
        {
            file.relative_to(tmp_path / name): file.read_bytes()
            for file in (tmp_path / name).rglob("*")
            if file.is_file()
        }
        for name in ("one", "two")
    )
    assert one == two


def test_package_of_two_architectures_has_a_manifest_for_each(self_contained: Path, tmp_path: Path) -> None:
    other = for_aarch64(self_contained, tmp_path)
    # The order of the arguments has no effect.
    (artifact,) = artifacts(package(other, self_contained, "--json", folder=tmp_path / "out"))
    assert [file["platform"] for file in artifact["files"]] == ["linux/amd64", "linux/arm64"]
    pulled = oci(tmp_path / "out", tmp_path / "pulled")
    assert pulled["digest"] == artifact["digest"]
    platforms = {manifest["platform"]: manifest for manifest in pulled["manifests"][:2]}
    for platform, path, machine in (("linux/amd64", self_contained, "x86_64"), ("linux/arm64", other, "aarch64")):
        (layer,) = platforms[platform]["layers"]
        assert layer["title"] == f"packaged-0.1.0-linux-{machine}.tar.gz"
        ((entry, content),) = members(Path(layer["file"]).read_bytes())
        assert (entry.name, content) == ("libpackaged.so", path.read_bytes())


def test_package_attaches_bill_of_materials(self_contained: Path, tmp_path: Path) -> None:
    (artifact,) = artifacts(package(self_contained, "--json", folder=tmp_path / "out"))
    (file,) = artifact["files"]
    (_, plugin), (entry, manifest) = manifests(tmp_path / "out")
    assert plugin["config"]["mediaType"] == f"{PLUGIN}config.v1+json"
    assert re.fullmatch(r"2\.\d+", file["glibc"])
    assert (entry["digest"], entry["artifactType"], manifest["artifactType"]) == (file["sbom"], SBOM, SBOM)
    assert manifest["subject"]["digest"] == file["digest"]
    (layer,) = manifest["layers"]
    printed = run_command("info", "--sbom", self_contained)
    assert document(tmp_path / "out", layer["digest"]) == json.loads(printed.stdout)
    # Clients that search for a platform, as falcoctl does, must not find it.
    assert entry["platform"] == {"architecture": "unknown", "os": "unknown"}
    pulled = oci(tmp_path / "out", tmp_path / "pulled")
    assert pulled["manifests"][0]["referrers"] == [file["sbom"]]


def test_other_client_pulls_what_was_packaged(linked: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    plugin, rulesfile = artifacts(package(linked, *LINKED, "--rules", rules, "--json", folder=tmp_path / "out"))
    pulled = oci(Path(plugin["folder"]), tmp_path / "pulled")
    assert (pulled["tag"], pulled["digest"], pulled["is_index"]) == ("0.1.0", plugin["digest"], True)
    pulled = oci(Path(rulesfile["folder"]), tmp_path / "pulled")
    # falcoctl reads the platform of each manifest of an index, which rules do not have.
    assert (pulled["digest"], pulled["is_index"]) == (rulesfile["digest"], False)
    (manifest,) = pulled["manifests"]
    (layer,) = manifest["layers"]
    ((entry, content),) = members(Path(layer["file"]).read_bytes())
    assert (entry.name, content.decode()) == ("packaged_rules.yaml", RULES)


def test_other_client_rejects_damaged_layout(linked: Path, tmp_path: Path) -> None:
    (artifact,) = artifacts(package(linked, *LINKED, "--json", folder=tmp_path / "out"))
    path = tmp_path / "out" / "blobs" / artifact["files"][0]["digest"].replace(":", "/", 1)
    path.write_bytes(path.read_bytes().replace(b"tar.gz", b"tar.xz"))
    ran = run(go_program("oci"), tmp_path / "out", tmp_path)
    assert ran.status == 1
    assert "does not fit the blob" in ran.stderr


def test_package_accepts_library_of_other_sdk(tmp_path: Path) -> None:
    (artifact,) = artifacts(package(compile_library(tmp_path, "foreign"), "--json", folder=tmp_path / "out"))
    ((_, manifest),) = manifests(tmp_path / "out")
    config = document(tmp_path / "out", manifest["config"]["digest"])
    assert (artifact["name"], config["requirements"][0]["version"]) == ("foreign", "3.4.0")
    assert artifact["files"][0]["sbom"] is None


def test_package_of_fields_requires_newer_plugin_api(changed: Change, tmp_path: Path) -> None:
    path = changed(FIELDS)
    for library_path, folder in ((path, "native"), (for_aarch64(path, tmp_path), "other")):
        artifacts(package(library_path, *LINKED, "--json", folder=tmp_path / folder))
        ((_, manifest),) = manifests(tmp_path / folder)
        config = document(tmp_path / folder, manifest["config"]["digest"])
        assert config["requirements"] == [{"name": "plugin_api_version", "version": "3.11.0"}]


def test_metadata_of_other_architecture_are_the_same(changed: Change, tmp_path: Path) -> None:
    # They are read from the manifest instead of asking the library.
    for number, source in enumerate((SOURCE, FIELDS)):
        path = changed(source, f"library{number}")
        folder = tmp_path / f"out{number}"
        (artifact,) = artifacts(package(path, for_aarch64(path, tmp_path), *LINKED, "--json", folder=folder))
        assert len(artifact["files"]) == 2


def test_annotations_are_added(linked: Path, tmp_path: Path) -> None:
    key = "org.opencontainers.image.source"
    artifacts(package(linked, *LINKED, "--annotation", f"{key}=https://a/?b=c", "--json", folder=tmp_path / "out"))
    index = document(tmp_path / "out", root(tmp_path / "out")["digest"])
    ((_, manifest),) = manifests(tmp_path / "out")
    assert index["annotations"][key] == manifest["annotations"][key] == "https://a/?b=c"


def test_output_shows_commands_and_resources(linked: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    folder = tmp_path / "my package"
    ran = package(linked, *LINKED, "--rules", rules, folder=folder)
    assert (ran.status, ran.stderr) == (0, "")
    assert f"{folder}: plugin packaged 0.1.0, {root(folder)['digest']}\n  libpackaged.so: linux/amd64, " in ran.stdout
    for command in (
        f"crane push '{folder}' REGISTRY/OWNER/packaged:0.1.0",
        f"crane push '{folder}-rules' REGISTRY/OWNER/packaged-rules:0.1.0",
        f"oras cp --from-oci-layout '{folder}:0.1.0' REGISTRY/OWNER/packaged:0.1.0",
        "falcoctl artifact install REGISTRY/OWNER/packaged:0.1.0 REGISTRY/OWNER/packaged-rules:0.1.0",
    ):
        assert f"\n  {command}\n" in ran.stdout
    resources = list(yaml.safe_load_all(ran.stdout[ran.stdout.index("apiVersion") :]))
    assert [resource["kind"] for resource in resources] == ["Plugin", "Rulesfile"]
    assert [resource["metadata"]["name"] for resource in resources] == ["packaged", "packaged-rules"]


# Folders


def test_package_replaces_its_own_layout(linked: Path, changed: Change, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    artifacts(package(linked, *LINKED, "--json", folder=folder))
    before = root(folder)
    (artifact,) = artifacts(package(changed(version="9.9.9"), *LINKED, "--json", folder=folder))
    assert root(folder)["digest"] == artifact["digest"] != before["digest"]
    assert not (folder / "blobs" / before["digest"].replace(":", "/", 1)).exists()
    assert sorted(path.name for path in folder.iterdir()) == ["blobs", "index.json", "oci-layout"]
    assert oci(folder, tmp_path / "pulled")["tag"] == "9.9.9"


def test_package_accepts_current_empty_folder(linked: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    ran = run_command("package", linked, *LINKED, "--rules", rules, "-o", ".", cwd=folder)
    assert ran.status == 0, ran.stderr
    assert root(folder)
    assert root(tmp_path / "empty-rules")


def write_other_layout(folder: Path) -> None:
    """Writes an OCI layout that is not Falco's."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (blobs / "aa").write_text('{"config": {"mediaType": "application/vnd.oci.image.config.v1+json"}}')
    (folder / "index.json").write_text('{"manifests": [{"digest": "sha256:aa"}]}')


def write_damaged_layout(folder: Path) -> None:
    write_other_layout(folder)
    (folder / "index.json").write_text('{"manifests": [{"digest": "sha256:bb"}]}')


OTHER_FOLDERS = {
    "file": lambda folder: folder.write_text("x"),
    "files": lambda folder: (folder.mkdir(), (folder / "notes").write_text("x")),
    "other layout": write_other_layout,
    "damaged layout": write_damaged_layout,
    "dangling link": lambda folder: folder.symlink_to("nowhere"),
}


@pytest.mark.parametrize("kind", OTHER_FOLDERS)
@pytest.mark.parametrize("suffix", ["", "-rules"])
def test_package_keeps_other_folder(linked: Path, tmp_path: Path, kind: str, suffix: str) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    other = tmp_path / f"out{suffix}"
    OTHER_FOLDERS[kind](other)
    before = sorted(tmp_path.rglob("*"))
    ran = package(linked, *LINKED, "--rules", rules, folder=tmp_path / "out")
    check_refused(ran, str(other), "name a folder that does not exist yet")
    assert sorted(tmp_path.rglob("*")) == before


def test_package_reports_folder_that_cannot_be_written(linked: Path) -> None:
    check_refused(package(linked, *LINKED, folder=Path("/proc/nothing/out")), "cannot write /proc/nothing/out: ")
