"""`falco-plugin build` and `info` for self-contained libraries."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from support.commands import check_refused
from support.hosts import Output, environment, native_path, run, run_command
from support.libraries import simple_plugin, write_sources
from support.paths import REPOSITORY

from falco_plugin._build import library

pytestmark = pytest.mark.slow

Cached = Mapping[str, str | None]

PLUGIN = simple_plugin("packed", "id = 2**30\nimport httpx")


@pytest.fixture(scope="module")
def cached() -> Cached:
    """Returns an environment with a cache folder that is kept between runs."""
    return environment(XDG_CACHE_HOME=str(REPOSITORY / "target" / "cache"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, cached: Cached) -> tuple[Path, Output]:
    """Builds a plugin that uses httpx. Returns the library, and what the command printed."""
    folder = write_sources(tmp_path_factory.mktemp("packed"), {"plugin.py": PLUGIN})
    ran = run_command("build", "plugin.py", cwd=folder, env=cached)
    assert (ran.status, ran.stderr) == (0, "")
    return folder / "libpacked.so", ran


def info(path: Path) -> dict[str, Any]:
    """Returns the contents of a library, as the native host reads them."""
    (found,) = run(native_path(), "info", path, "--json", env={}).lines
    contents: dict[str, Any] = found["contents"]
    return contents


# The library


def test_build_prints_what_is_inside(packed: tuple[Path, Output]) -> None:
    path, ran = packed
    first, second, empty, *_ = ran.stdout.splitlines()
    assert first == "libpacked.so: plugin packed 0.1.0, event source packed"
    version = ".".join(map(str, sys.version_info[:3]))
    size = path.stat().st_size / 1e6
    assert re.fullmatch(rf"Python {version}{sys.abiflags}, 9 packages, {size:.1f} MB, needs glibc 2\.\d+", second)
    assert empty == ""


def test_info_shows_packages_and_libraries(packed: tuple[Path, Output]) -> None:
    path, _ = packed
    contents = info(path)
    assert contents["kind"] == "self-contained"
    assert contents["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    packages = {package["name"]: package for package in contents["packages"]}
    assert {"falco-plugin-sdk", "msgspec", "httpx", "certifi", "anyio"} <= set(packages)
    assert packages["httpx"]["licence"] == "BSD-3-Clause"
    assert packages["httpx"]["requires"] == ["anyio", "certifi", "httpcore", "idna"]
    parts = [contents["python"], *contents["packages"], *contents["libraries"]]
    assert sum(part["size"] for part in parts) == contents["size"]
    assert all(0 < part["stored"] <= part["size"] for part in parts)
    # The rest is the index of the bundle.
    assert 0 <= contents["stored"] - sum(part["stored"] for part in parts) < 200_000
    assert contents["stored"] < path.stat().st_size
    assert "libssl.so.3" in {library["name"] for library in contents["libraries"]}
    text = run(native_path(), "info", path, env={}).stdout
    assert re.search(r"^Python: +3\.\d+\.\d+, self-contained, needs glibc 2\.\d+, \d+\.\d\d MB \(", text, re.MULTILINE)
    assert re.search(r"^  httpx +\d\S+ +BSD-3-Clause +0\.\d\d MB +0\.\d\d MB$", text, re.MULTILINE)


def test_manifest_has_nothing_of_this_machine(packed: tuple[Path, Output]) -> None:
    path, _ = packed
    manifest = library.read_manifest(path)
    assert manifest is not None
    assert manifest["python_source"] == "bundle"
    assert manifest["folder"] == ""
    assert manifest["libpython"].startswith("libpython3.")
    assert re.fullmatch(r"[0-9a-f]{16}", manifest["bundle_id"])
    assert not {"core", "python", "folders"} & set(manifest)
    data = path.read_bytes()
    for text in (str(path.parent), sys.prefix, str(Path(library.__file__).parents[2])):
        assert text not in json.dumps(manifest)
        assert text.encode() not in data


# Reproducible builds


def build_in(folder: Path, env: Mapping[str, str | None]) -> bytes:
    write_sources(folder, {"plugin.py": PLUGIN})
    ran = run_command("build", "plugin.py", cwd=folder, env=env)
    assert ran.status == 0, ran.stderr
    return (folder / "libpacked.so").read_bytes()


def test_same_input_gives_same_bytes(packed: tuple[Path, Output], tmp_path: Path, cached: Cached) -> None:
    expected = packed[0].read_bytes()
    assert build_in(tmp_path / "warm", {**cached, "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"}) == expected
    cold = {**cached, "XDG_CACHE_HOME": "/dev/null", "PYTHONHASHSEED": "2", "LANG": "C"}
    assert build_in(tmp_path / "elsewhere" / "deeper", cold) == expected


def test_id_depends_on_runtime_but_not_on_code(packed: tuple[Path, Output], tmp_path: Path, cached: Cached) -> None:
    def build(*options: str, code: str = PLUGIN) -> str:
        write_sources(tmp_path, {"plugin.py": code})
        assert run_command("build", "plugin.py", *options, cwd=tmp_path, env=cached).status == 0
        manifest = library.read_manifest(next(tmp_path.glob("lib*.so")))
        assert manifest is not None
        return manifest["bundle_id"]

    manifest = library.read_manifest(packed[0])
    assert manifest is not None
    assert build(code=PLUGIN + "\n# changed\n") == manifest["bundle_id"]
    assert build("--exclude", "certifi") != manifest["bundle_id"]


# The bill of materials


def test_bill_of_materials_is_valid(packed: tuple[Path, Output], cached: Cached) -> None:
    path, _ = packed
    ran = run_command("info", path, "--sbom", env=cached)
    assert (ran.status, ran.stderr) == (0, "")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(ran.stdout) is None
    bill = json.loads(ran.stdout)
    components = {component["name"]: component for component in bill["components"]}
    httpx = components["httpx"]
    assert httpx["purl"] == f"pkg:pypi/httpx@{httpx['version']}"
    assert httpx["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]
    assert components["msgspec"]["licenses"] == [{"expression": "BSD-3-Clause"}]
    assert re.fullmatch(r"[0-9a-f]{64}", components["libssl.so.3"]["hashes"][0]["content"])
    depends = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    assert f"pkg:pypi/anyio@{components['anyio']['version']}" in depends[httpx["purl"]]
    assert set(depends) <= {bill["metadata"]["component"]["bom-ref"], *(c["bom-ref"] for c in bill["components"])}
    assert "timestamp" not in bill["metadata"]
    again = run_command("info", path, "--sbom", env={**cached, "SOURCE_DATE_EPOCH": "1700000000"})
    assert json.loads(again.stdout)["metadata"].pop("timestamp") == "2023-11-14T22:13:20Z"
    check_refused(
        run_command("info", path, "--sbom", env={**cached, "SOURCE_DATE_EPOCH": "soon"}),
        "SOURCE_DATE_EPOCH must be a number of seconds, got 'soon'",
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("plugin.py", "plugin.py is not a library, so it brings nothing yet: build a self-contained library"),
        ("linked.so", "linked.so is a linked library, which brings no packages: build a self-contained library"),
        ("other.so", "other.so is not a plugin library of this SDK, or is damaged: build a self-contained library"),
        ("cut.so", "cut.so is not a plugin library of this SDK, or is damaged: build a self-contained library"),
        ("none.so", "cannot read none.so: No such file or directory"),
    ],
)
def test_bill_of_materials_needs_a_self_contained_library(
    packed: tuple[Path, Output], tmp_path: Path, target: str, message: str
) -> None:
    write_sources(tmp_path, {"plugin.py": PLUGIN, "other.so": "\x7fELF"})
    assert run_command("build", "--linked", "plugin.py", "-o", "linked.so", cwd=tmp_path).status == 0
    whole = packed[0].read_bytes()
    (tmp_path / "cut.so").write_bytes(whole[: whole.index(b"PK\3\4")])
    check_refused(run_command("info", target, "--sbom", cwd=tmp_path), message)


# Damaged libraries


@pytest.mark.parametrize("kept", ["half of the bundle", "all but one byte", "no archive"])
def test_info_reports_truncated_library(packed: tuple[Path, Output], tmp_path: Path, kept: str) -> None:
    whole = packed[0].read_bytes()
    bundle, archive = whole.index(b"FPBUNDL2"), whole.index(b"PK\3\4")
    length = {"half of the bundle": (bundle + len(whole)) // 2, "all but one byte": -1, "no archive": archive}[kept]
    (tmp_path / "cut.so").write_bytes(whole[:length])
    message = "cut.so was cut, stripped or changed after it was built: build it again with 'falco-plugin build'"
    check_refused(run_command("info", "cut.so", cwd=tmp_path), message, by="falco-plugin-host")


def test_info_reports_other_architecture(packed: tuple[Path, Output], tmp_path: Path) -> None:
    library = bytearray(packed[0].read_bytes())
    ours = library[18:20]
    library[18:20] = (183 if ours == b"\x3e\0" else 62).to_bytes(2, "little")
    (tmp_path / "other.so").write_bytes(library)
    refused = run_command("info", "other.so", cwd=tmp_path)
    check_refused(refused, "other.so was built for ", ", but this machine is ", by="falco-plugin-host")


# Options


def test_debug_symbols_are_kept_on_request(packed: tuple[Path, Output], tmp_path: Path, cached: Cached) -> None:
    write_sources(tmp_path, {"plugin.py": PLUGIN})
    assert run_command("build", "plugin.py", "--debug-symbols", cwd=tmp_path, env=cached).status == 0
    assert (tmp_path / "libpacked.so").stat().st_size > packed[0].stat().st_size + 1_000_000


@pytest.mark.parametrize("option", [["--include", "pdb"], ["--exclude", "ssl"], ["--debug-symbols"]])
def test_linked_library_has_no_options_of_bundles(tmp_path: Path, option: list[str]) -> None:
    write_sources(tmp_path, {"plugin.py": PLUGIN})
    ran = run_command("build", "plugin.py", "--linked", *option, cwd=tmp_path)
    assert ran.status == 2
    assert "--linked packs no Python: leave out --include, --exclude and --debug-symbols" in ran.stderr


def test_options_are_passed_to_another_python(tmp_path: Path, cached: Cached) -> None:
    write_sources(tmp_path, {"plugin.py": PLUGIN})
    options = ["-o", "out.so", "--include", "pdb", "--include", "wsgiref", "--exclude", "certifi"]
    ran = run_command("build", "plugin.py", *options, "--python", sys.executable, cwd=tmp_path, env=cached)
    assert ran.status == 0, ran.stderr
    data = (tmp_path / "out.so").read_bytes()
    assert b"wsgiref.handlers" in data
    assert b"pdb" in data
    assert "certifi" not in {package["name"] for package in info(tmp_path / "out.so")["packages"]}
    linked = run_command("build", "plugin.py", "--linked", "-o", "linked.so", "--python", sys.executable, cwd=tmp_path)
    assert linked.status == 0, linked.stderr
    assert info(tmp_path / "linked.so")["kind"] == "linked"


# Errors


def test_build_writes_nothing_if_dependency_is_missing(tmp_path: Path, cached: Cached) -> None:
    project = '[project]\nname = "x"\nversion = "1"\ndependencies = ["no-such-distribution>=3"]\n'
    write_sources(tmp_path, {"x/plugin.py": simple_plugin("missing"), "x/pyproject.toml": project})
    ran = run_command("build", "x", "-o", "out.so", cwd=tmp_path, env=cached)
    check_refused(
        ran,
        "x/pyproject.toml requires no-such-distribution>=3, which is not installed",
        f"{sys.executable} -m pip install 'no-such-distribution>=3'",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_build_reports_output_that_cannot_be_written(tmp_path: Path, cached: Cached) -> None:
    write_sources(tmp_path, {"plugin.py": PLUGIN})
    ran = run_command("build", "plugin.py", "-o", "no/such/out.so", cwd=tmp_path, env=cached)
    check_refused(ran, "cannot write no/such/out.so: No such file or directory")


@pytest.mark.parametrize("fault", ["static", "sdk"])
def test_build_names_unsuitable_python(tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from falco_plugin._build import environment as environment_module
    from falco_plugin.cli.main import main

    def missing() -> str:
        raise FileNotFoundError("this Python has no shared library: install it")

    write_sources(tmp_path, {"plugin.py": simple_plugin("plain")})
    if fault == "static":
        monkeypatch.setattr(environment_module, "libpython", missing)
        message = "this Python has no shared library: install it"
    else:
        folders = (os.fspath(tmp_path),)
        monkeypatch.setattr(environment_module, "folders", lambda: folders)
        message = "requires falco-plugin-sdk, which is not installed: install it ("
    result = CliRunner().invoke(main, ["build", str(tmp_path / "plugin.py"), "-o", str(tmp_path / "out.so")])
    assert result.exit_code == 1
    assert message in result.output
    assert not (tmp_path / "out.so").exists()


def test_extension_that_cannot_be_packed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner
    from support.distributions import install

    from falco_plugin._build import environment as environment_module
    from falco_plugin.cli.main import main

    site = tmp_path / "site"
    site.mkdir()
    install(site, "broken", files={"broken_module.so": b"\x7fELF\2\1\1" + bytes(100) + b"\0PyInit_broken_module\0"})
    folders = (str(site), *environment_module.folders())
    monkeypatch.setattr(environment_module, "folders", lambda: folders)
    write_sources(tmp_path, {"plugin.py": PLUGIN})
    words = ["build", str(tmp_path / "plugin.py"), "--include", "broken", "-o", str(tmp_path / "o.so")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "broken_module" in result.output
    assert not (tmp_path / "o.so").exists()
    shutil.rmtree(site)
