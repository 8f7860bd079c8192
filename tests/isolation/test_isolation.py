"""Two self-contained libraries in one process: with other Pythons, and other versions of the same packages.

``make test-isolation`` runs this. The environment variable ``OTHER_PYTHON`` names a Python of another version.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.environments import sdk_environment
from support.hosts import c_host_path, run
from support.libraries import write_sources

pytestmark = [pytest.mark.isolation, pytest.mark.slow]

SOURCE = Path(__file__).with_name("described.py")


class Built(NamedTuple):
    """A library, and what it must find in its own interpreter."""

    path: Path
    mark: str
    versions: dict[str, str]


PACKAGES = {
    "first": {"numpy": "2.0.2", "packaging": "24.2"},
    "second": {"numpy": "2.4.6", "packaging": "25.0"},
}
# Older versions of numpy have no wheels for these Pythons.
NUMPY = {("first", "3.14"): "2.3.5", ("first", "3.15"): "2.5.5", ("second", "3.15"): "2.5.5"}


def build(folder: Path, mark: str, python: str) -> Built:
    version = run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").stdout.strip()
    versions = dict(PACKAGES[mark])
    versions["numpy"] = NUMPY.get((mark, version), versions["numpy"])
    environment = sdk_environment(tuple(f"{name}=={version}" for name, version in versions.items()), python)
    source = write_sources(folder / mark, {"described.py": SOURCE.read_text().replace("@MARK@", mark)}) / "described.py"
    path = folder / f"lib{mark}.so"
    ran = run(environment / "bin" / "falco-plugin", "build", source, "-o", path)
    assert ran.status == 0, ran.stderr
    return Built(path, mark, {"python": version, **versions})


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> list[Built]:
    folder = tmp_path_factory.mktemp("isolation")
    built = [build(folder, "first", sys.executable), build(folder, "second", os.environ["OTHER_PYTHON"])]
    assert built[0].versions["python"] != built[1].versions["python"], "OTHER_PYTHON must have another version"
    return built


def check(events: list[dict[str, Any]], library: Built) -> None:
    """Checks that the events come from the interpreter and the packages of the library."""
    described, *solved, last = events
    assert {name: described[name] for name in library.versions} == library.versions
    assert described["api"]
    assert (described["sql"], described["async"], described["decimal"]) == ([42], "done", "0.3333")
    assert (described["ssl"], described["digest"]) == ("OpenSSL", "e3b0c442")
    assert described["zone"] == "2026-07-01T00:00:00+00:00"
    assert [event["close"] for event in solved] == [True] * 38
    assert last == {"mark": library.mark}


def decode(line: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(base64.b64decode(payload)) for payload in line["payloads"]]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["this Python first", "other Python first"])
@pytest.mark.parametrize("command", ["interleave", "race"])
def test_two_pythons_run_in_one_process(libraries: list[Built], command: str, order: tuple[int, int]) -> None:
    chosen = [libraries[index] for index in order]
    ran = run(c_host_path(), command, *(library.path for library in chosen), "")
    assert ran.status == 0, ran.stdout + ran.stderr
    lines = ran.lines if command == "interleave" else ran.lines[0]["race"]
    for line, library in zip(lines, chosen, strict=True):
        check(decode(line), library)


@pytest.mark.parametrize("index", [0, 1], ids=["this Python", "other Python"])
def test_library_is_reloaded_with_its_own_python(libraries: list[Built], index: int) -> None:
    ran = run(c_host_path(), "cycle", libraries[index].path, 5, "")
    assert ran.status == 0, ran.stdout + ran.stderr
    assert [line["events"] for line in ran.lines] == [40] * 5


def test_library_is_replaced_by_other_python(libraries: list[Built], tmp_path: Path) -> None:
    installed, new = tmp_path / "installed.so", tmp_path / "new.so"
    installed.write_bytes(libraries[0].path.read_bytes())
    new.write_bytes(libraries[1].path.read_bytes())
    ran = run(c_host_path(), "replace", installed, new, "")
    assert ran.status == 0, ran.stdout + ran.stderr
