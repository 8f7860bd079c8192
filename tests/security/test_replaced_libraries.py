"""Library files that somebody replaces or changes while Falco loads them, or between two loads."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import appended
from support.appended import DAMAGED
from support.hosts import environment, init_error, run_c_host
from support.libraries import build_plugin, simple_plugin

FIRST, SECOND = (simple_plugin("replaced", events=events) for events in ("[b'1']", "[b'2', b'2']"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two libraries with the same bundle and different code."""
    folder = tmp_path_factory.mktemp("built")
    first = build_plugin(folder, FIRST, "replaced", self_contained=True)
    shutil.move(first, folder / "first.so")
    return folder / "first.so", build_plugin(folder, SECOND, "replaced", self_contained=True)


# Renames a file to the path of the library when the stub opens it: the dynamic linker has mapped the original.
REPLACES = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>

    int open(const char *path, int flags, ...) {
        int (*real)(const char *, int) = (int (*)(const char *, int))dlsym(RTLD_NEXT, "open");
        const char *library = getenv("LIBRARY");
        if (strcmp(path, library) == 0)
            rename(getenv("REPLACEMENT"), library);
        return real(path, flags);
    }
"""


def test_file_that_replaces_library_while_it_loads_is_rejected(built: tuple[Path, Path], tmp_path: Path) -> None:
    library, replacement = (Path(shutil.copy(path, tmp_path / path.name)) for path in built)
    source, preloaded = tmp_path / "replaces.c", tmp_path / "replaces.so"
    source.write_text(REPLACES)
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", preloaded, "-ldl"], check=True)
    env = environment(LD_PRELOAD=str(preloaded), LIBRARY=str(library), REPLACEMENT=str(replacement))
    assert DAMAGED in init_error(library, env=env)
    assert not replacement.exists()
    # The next load runs the new file.
    (line,) = run_c_host("cycle", library, 1, "").lines
    assert (line["events"], line["end"]) == (2, "eof")


def change_archive(library: bytearray) -> None:
    library[appended.read(library).archive_start + 40] ^= 1


def change_manifest(library: bytearray) -> None:
    library[appended.read(library).offset + 6] ^= 1


@pytest.mark.parametrize("change", [change_archive, change_manifest])
def test_reload_of_changed_file_is_rejected(
    built: tuple[Path, Path], tmp_path: Path, change: Callable[[bytearray], None]
) -> None:
    library = shutil.copy(built[0], tmp_path / "library.so")
    content = bytearray(built[1].read_bytes())
    change(content)
    changed = tmp_path / "changed.so"
    changed.write_bytes(content)
    before, after = run_c_host("replace", library, changed, "").lines
    assert (before["events"], before["end"]) == (1, "eof")
    assert after["stage"] == "init"
    assert DAMAGED in after["error"]


def test_reload_reads_bundle_of_first_file(built: tuple[Path, Path], tmp_path: Path) -> None:
    # The interpreter runs already. Nothing of the bundle in the second file is used, whatever it is.
    library = shutil.copy(built[0], tmp_path / "library.so")
    content = bytearray(built[1].read_bytes())
    start = appended.read(content).bundle_start
    content[start:] = bytes(len(content) - start)
    changed = tmp_path / "changed.so"
    changed.write_bytes(content)
    before, after = run_c_host("replace", library, changed, "").lines
    assert [(line["events"], line["end"]) for line in (before, after)] == [(1, "eof"), (2, "eof")]
