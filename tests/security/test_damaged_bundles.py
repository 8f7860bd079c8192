"""Damaged self-contained libraries: cut off, stripped, or changed by a byte in each part."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import appended
from support.appended import DAMAGED, HASHES, NUMBERS, read_blocks, sign_bundle
from support.hosts import init_error, native_path, run, run_cycle
from support.libraries import build_plugin, simple_plugin


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("whole"), simple_plugin("whole"), self_contained=True)


def bundle_start(library: bytes) -> int:
    return appended.read(library).bundle_start


def write_changed(whole: Path, folder: Path, change: Callable[[bytearray], bytes | bytearray]) -> Path:
    path = folder / "changed.so"
    path.write_bytes(change(bytearray(whole.read_bytes())))
    return path


# Positions in each part of the file.
POSITIONS: dict[str, Callable[[bytes], int]] = {
    **{name: lambda library, name=name: appended.position(library, name) for name in (*NUMBERS, *HASHES)},
    "first bytes of the manifest": lambda library: appended.read(library).offset + 6,
    "last bytes of the archive": lambda library: bundle_start(library) - 50,
    "magic of the bundle": bundle_start,
    "id of the bundle": lambda library: bundle_start(library) + 10,
    "counts of the bundle": lambda library: bundle_start(library) + 24,
    "blocks of the bundle": lambda library: bundle_start(library) + 45,
    "hashes of the bundle": lambda library: bundle_start(library) + 60,
    "entries of the bundle": lambda library: bundle_start(library) + 40 + 48 * len(read_blocks(library)) + 5,
    "a compressed block": lambda library: (bundle_start(library) + len(library)) // 2,
    "last byte": lambda library: len(library) - 1,
}


@pytest.mark.parametrize("position", POSITIONS.values(), ids=POSITIONS)
def test_changed_byte_is_detected(whole: Path, tmp_path: Path, position: Callable[[bytes], int]) -> None:
    def change(library: bytearray) -> bytearray:
        library[position(bytes(library))] ^= 1
        return library

    assert DAMAGED in init_error(write_changed(whole, tmp_path, change))


CUTS: dict[str, Callable[[bytes], int]] = {
    "before the parts": lambda library: appended.read(library).offset,
    "in the manifest": lambda library: appended.read(library).offset + 20,
    "before the bundle": bundle_start,
    "in the header of the bundle": lambda library: bundle_start(library) + 20,
    "in the index of the bundle": lambda library: bundle_start(library) + 400,
    "in the blocks": lambda library: (bundle_start(library) + len(library)) // 2,
    "last byte": lambda library: len(library) - 1,
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_truncated_library_is_reported(whole: Path, tmp_path: Path, cut: Callable[[bytes], int]) -> None:
    assert DAMAGED in init_error(write_changed(whole, tmp_path, lambda library: library[: cut(bytes(library))]))


def test_stripped_library_is_reported(whole: Path, tmp_path: Path) -> None:
    stripped = tmp_path / "stripped.so"
    subprocess.run(["strip", "-o", str(stripped), str(whole)], check=True)
    assert DAMAGED in init_error(stripped)


def test_appended_bytes_do_not_matter(whole: Path, tmp_path: Path) -> None:
    ran = run_cycle(write_changed(whole, tmp_path, lambda library: library + b"\0" * 100))
    assert ran.status == 0, ran.stdout


def test_library_of_other_bundle_is_rejected(whole: Path, tmp_path: Path) -> None:
    # A download that mixes two versions: the front of one library, and the bundle of another.
    other = build_plugin(tmp_path, f"import sqlite3\n{simple_plugin('whole')}", "other", self_contained=True)
    tail = other.read_bytes()
    mixed = write_changed(
        whole, tmp_path, lambda library: library[: bundle_start(library)] + tail[bundle_start(tail) :]
    )
    assert DAMAGED in init_error(mixed)


def test_info_works_for_damaged_bundle(whole: Path, tmp_path: Path) -> None:
    def change(library: bytearray) -> bytearray:
        library[-1] ^= 1
        return library

    ran = run(native_path(), "info", write_changed(whole, tmp_path, change))
    assert ran.status == 0, ran.stderr


numbers = st.one_of(
    st.integers(0, 2**64 - 1),
    st.integers(0, 300),
    st.integers(1, 6).flatmap(
        lambda distance: st.sampled_from([2**31, 2**32, 2**63, 2**64]).map(lambda limit: limit - distance)
    ),
)


members = {**dict.fromkeys(NUMBERS, numbers), **dict.fromkeys(HASHES, st.binary(min_size=32, max_size=32))}


@given(st.fixed_dictionaries({}, optional=members))
def test_random_struct_does_not_crash_host(whole: Path, parts: dict[str, Any]) -> None:
    def change(library: bytearray) -> bytearray:
        appended.write(library, appended.read(library)._replace(**parts))
        return library

    with tempfile.TemporaryDirectory() as folder:
        path = write_changed(whole, Path(folder), change)
        ran = run(native_path(), "run", path)
    assert ran.status in (0, 1), ran.stderr
    assert ran.status == 0 or ran.stderr


@given(st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4))
def test_random_changes_of_bundle_do_not_crash_host(whole: Path, changes: list[tuple[int, int]]) -> None:
    def change(library: bytearray) -> bytearray:
        start = bundle_start(library)
        for position, value in changes:
            library[start + position % (len(library) - start)] = value
        # The hashes are correct: the reader itself must detect the damage.
        sign_bundle(library)
        return library

    with tempfile.TemporaryDirectory() as folder:
        path = write_changed(whole, Path(folder), change)
        ran = run_cycle(path)
    assert ran.status in (0, 1), ran.stderr
