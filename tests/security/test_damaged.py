"""Damaged library files: the struct with the offsets of the parts, the parts, and the archive."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import appended
from support.appended import DAMAGED, HASHES, NUMBERS
from support.hosts import init_error, native_path, run
from support.libraries import build_plugin, simple_plugin

from falco_plugin._runtime import archive as _archive

numbers = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(0, 300),
    st.integers(1, 6).flatmap(
        lambda distance: st.sampled_from([2**31, 2**32, 2**63, 2**64]).map(lambda limit: limit - distance)
    ),
)
files = st.dictionaries(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1), st.binary())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("whole"), simple_plugin("whole"))


def change_parts(whole: Path, folder: Path, **parts: int | bytes) -> Path:
    """Returns a copy of the library with changed members of its struct."""
    library = bytearray(whole.read_bytes())
    appended.write(library, appended.read(library)._replace(**parts))
    path = folder / "changed.so"
    path.write_bytes(library)
    return path


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(2**64 - 8, id="sum overflows"),
        pytest.param(2**63, id="larger than memory"),
        pytest.param(0, id="no manifest"),
        pytest.param(1, id="cut name"),
        pytest.param(len("name\0"), id="name without value"),
    ],
)
def test_wrong_manifest_length_is_detected(whole: Path, tmp_path: Path, manifest: int) -> None:
    parts = appended.read(whole.read_bytes())
    archive = (parts.manifest + parts.archive - manifest) % 2**64
    assert DAMAGED in init_error(change_parts(whole, tmp_path, manifest=manifest, archive=archive))


@pytest.mark.parametrize(
    "parts",
    [
        {"manifest": 2**64 - 1, "archive": 0},
        {"manifest": 0, "archive": 2**64 - 1},
        {"manifest": 2**63, "archive": 2**63},
        {"manifest": 2**40},
        {"offset": 2**64 - 1},
        {"offset": 2**63 - 1},
        {"hash": bytes(32)},
    ],
    ids=str,
)
def test_offsets_outside_of_library_are_detected(whole: Path, tmp_path: Path, parts: dict[str, Any]) -> None:
    assert DAMAGED in init_error(change_parts(whole, tmp_path, **parts))


members = {**dict.fromkeys(NUMBERS, numbers), **dict.fromkeys(HASHES, st.binary(min_size=32, max_size=32))}


@given(st.fixed_dictionaries({}, optional=members))
def test_random_struct_does_not_crash_host(whole: Path, parts: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        ran = run(native_path(), "info", change_parts(whole, Path(folder), **parts))
    assert ran.status in (0, 1), ran.stderr
    assert ran.status == 0 or ran.stderr


@given(files)
def test_archive_returns_packed_modules(files: dict[str, bytes]) -> None:
    assert _archive.unpack(_archive.pack(files)) == files


@given(files.map(_archive.pack), st.lists(st.tuples(st.integers(0), st.binary(max_size=4))), st.integers(0, 100))
def test_damaged_archive_returns_only_its_content(archive: bytes, changes, cut: int) -> None:
    damaged = bytearray(archive)
    for position, inserted in changes:
        position %= len(damaged)
        damaged[position : position + len(inserted)] = inserted
    damaged = bytes(damaged[: len(damaged) - cut])
    try:
        files = _archive.unpack(damaged)
    except ValueError:
        return
    assert all(name.encode() in damaged and data in damaged for name, data in files.items())
