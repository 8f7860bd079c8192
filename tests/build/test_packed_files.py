"""Which files of a distribution a self-contained library brings, and which it leaves out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from support.collected import Collect, part_of
from support.distributions import install

from falco_plugin._build.bundle import real_files
from falco_plugin._build.self_contained import Options, make_bundle
from falco_plugin._runtime import archive

EXTENSION = Path(msgspec.__path__[0]).glob("_core*.so").__next__().read_bytes()
"""An extension module named ``_core``."""
SUFFIX = Path(msgspec.__path__[0]).glob("_core*.so").__next__().name.removeprefix("_core")


def packed(
    site: Path, collected: Collect, files: dict[str, str | bytes], **options: object
) -> tuple[set[str], set[str]]:
    """Installs files as one distribution, and returns the names of its modules and of its data files."""
    install(site, "dist", files=files)
    (site / "plugin_dist.py").unlink(missing_ok=True)
    collection = collected(
        f"import {', '.join(sorted({file.split('/')[0].split('.')[0] for file in files}))}\n", **options
    )
    part = part_of(collection, "dist")
    return {*part.modules, *part.part.extensions}, {file for file in part.part.files if "dist-info" not in file}


def test_modules_packages_and_data_are_packed(site: Path, collected: Collect) -> None:
    files: dict[str, str | bytes] = {
        "six.py": "",
        "größe/__init__.py": "",
        "größe/übung.py": "",
        "größe/daten ä.json": "{}",
        "space/deep/module.py": "",
        "space/deep/table.txt": "x",
        "space/not-a-module.py": "",
    }
    modules, data = packed(site, collected, files)
    assert modules == {"six", "größe", "größe.übung", "space.deep.module"}
    assert data == {"größe/daten ä.json", "space/deep/table.txt", "space/not-a-module.py"}


def test_tests_documentation_and_sources_are_left_out(site: Path, collected: Collect) -> None:
    left_out = ["tests/__init__.py", "tests/test_a.py", "tests/data.json", "sub/test/a.py", "docs/a.txt", "conftest.py"]
    left_out += ["test_b.py", "a.pyi", "a.pyx", "a.pxd", "a.c", "a.h", "liba.a", "a.md", "a.rst", "py.typed", "a.exe"]
    left_out += [
        "__pycache__/a.cpython-311.pyc",
        "legacy.pyc",
        "other.cpython-39-x86_64-linux-gnu.so",
        "b.pypy310-pp73.so",
    ]
    files: dict[str, str | bytes] = {f"kode/{file}": "" for file in left_out}
    modules, data = packed(site, collected, {**files, "kode/__init__.py": "", "kode/testing.py": "", "x.pth": ""})
    assert modules == {"kode", "kode.testing"}
    assert data == set()


def test_left_out_module_is_packed_if_another_imports_it(site: Path, collected: Collect) -> None:
    files: dict[str, str | bytes] = {
        "kode/__init__.py": "from kode.tests.helper import f\n",
        "kode/tests/__init__.py": "",
        "kode/tests/helper.py": "from . import second\n",
        "kode/tests/second.py": "",
        "kode/tests/third.py": "",
    }
    modules, _ = packed(site, collected, {name.replace("code", "kode"): text for name, text in files.items()})
    assert modules == {"kode", "kode.tests", "kode.tests.helper", "kode.tests.second"}


def test_included_and_excluded_modules(site: Path, collected: Collect) -> None:
    files: dict[str, str | bytes] = {
        **dict.fromkeys(["kode/__init__.py", "kode/tests/__init__.py", "kode/tests/a.py", "kode/extra/a.py"], ""),
        "kode/extra/data.json": "",
        "kode/extras.py": "",
    }
    modules, data = packed(site, collected, files, include=["kode.tests"], exclude=["kode.extra"])
    assert modules == {"kode", "kode.tests", "kode.tests.a", "kode.extras"}
    assert data == set()


def test_licences_and_metadata_are_packed(site: Path, collected: Collect) -> None:
    metadata: dict[str, str | bytes] = {
        "licenses/LICENSE.md": "licence",
        "COPYING": "copying",
        "entry_points.txt": "[a]\nb = c\n",
        "WHEEL": "Wheel-Version: 1.0",
        "INSTALLER": "pip",
    }
    install(site, "My.Dist", "2.0", {"mine/__init__.py": "", "mine/LICENSE.md": "x"}, metadata=metadata)
    files = part_of(collected("import mine\n"), "my-dist").part.files
    info = "my_dist-2.0.dist-info"
    expected = ["COPYING", "METADATA", "entry_points.txt", "licenses/LICENSE.md"]
    assert set(files) == {*(f"{info}/{file}" for file in expected), "mine/LICENSE.md"}
    assert files[f"{info}/METADATA"] == b"Metadata-Version: 2.4\nName: My.Dist\nVersion: 2.0\n"


def test_files_outside_of_packages_are_left_out(site: Path, tmp_path: Path, collected: Collect) -> None:
    outside = tmp_path / "bin" / "script"
    install(site, "dist", files={"kode.py": ""}, listed=["../bin/script", str(outside), "kode.libs/libx.so.1"])
    with (site / "dist-1.0.dist-info" / "RECORD").open("a") as record:
        record.write('"",,\nkode//data.json,,\n')
    part = part_of(collected("import kode\n"), "dist")
    assert [file for file in part.part.files if "dist-info" not in file] == []


def test_link_to_a_file_is_packed(site: Path, tmp_path: Path, collected: Collect) -> None:
    (tmp_path / "elsewhere.json").write_text("{}")
    install(site, "dist", files={"kode/__init__.py": ""}, listed=["kode/data.json"])
    (site / "kode" / "data.json").symlink_to(tmp_path / "elsewhere.json")
    assert "kode/data.json" in part_of(collected("import kode\n"), "dist").part.files


def test_module_that_python_cannot_compile_is_skipped(site: Path, collected: Collect) -> None:
    files = {"kode/__init__.py": "", "kode/template.py": "print 'two'\n", "kode/nul.py": "a = '\0'\n"}
    install(site, "dist", files=files)
    part = part_of(collected("import kode\n"), "dist")
    assert list(part.modules) == ["kode"]
    assert sorted(part.skipped) == ["kode.nul", "kode.template"]


# Native code


def test_extension_module_takes_precedence_over_module(site: Path, collected: Collect) -> None:
    modules, data = packed(
        site,
        collected,
        {"kode/__init__.py": "", f"kode/_core{SUFFIX}": EXTENSION, "kode/_core.py": "", "kode/x.so": b"x"},
    )
    assert modules == {"kode", "kode._core"}
    assert data == {"kode/x.so"}


@pytest.mark.parametrize(
    ("symbol", "module"),
    [
        ("PyInit__core", "_core"),
        ("PyModExport__core", "_core"),
        ("PyInitU_xy_wia", "xyä"),
        ("PyModExportU_xy_wia", "xyä"),
    ],
)
def test_extension_module_is_known_by_its_symbol(
    site: Path, tmp_path: Path, collected: Collect, symbol: str, module: str
) -> None:
    (tmp_path / "m.c").write_text(f"void *{symbol}(void) {{ return 0; }}\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "m.so", "m.c"], cwd=tmp_path, check=True)
    files = {"kode/__init__.py": "", f"kode/{module}{SUFFIX}": (tmp_path / "m.so").read_bytes()}
    assert packed(site, collected, files) == ({"kode", f"kode.{module}"}, set())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Builds a shared library, and an extension module ``_core`` that needs it."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "a.c").write_text("int a(void) { return 1; }\n")
    (folder / "m.c").write_text("int a(void); void *PyInit__core(void) { return a() ? 0 : 0; }\n")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-Wl,-soname,liba.so.1", "-o", "liba.so.1", "a.c"], cwd=folder, check=True
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "m.so", "m.c", "liba.so.1"], cwd=folder, check=True)
    return (folder / "liba.so.1").read_bytes(), (folder / "m.so").read_bytes()


def test_library_for_ctypes_is_a_file(site: Path, collected: Collect, shared: tuple[bytes, bytes]) -> None:
    library, extension = shared
    files = {"kode/__init__.py": "import ctypes\nctypes.CDLL(__file__)\n", "kode/liba.so.1": library}
    modules, data = packed(site, collected, files)
    assert (modules, data) == ({"kode"}, {"kode/liba.so.1"})
    modules, data = packed(site, collected, {**files, f"kode/_core{SUFFIX}": extension})
    assert (modules, data) == ({"kode", "kode._core"}, set()), "the packer finds what an extension module needs"


# Files that must exist at run time


@pytest.mark.parametrize(
    ("code", "data", "expected"),
    [
        ("import os\nROOT = os.path.dirname(__file__)\n", "table.json", ["kode/"]),
        ("def find():\n    return [*__path__]\n", "table.json", ["kode/"]),
        ("import os\nROOT = os.path.dirname(__file__)\n", "LICENSE", []),
        ("from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)\n", "table.json", []),
        ("from importlib.resources import files\n", "table.json", []),
    ],
    ids=["file", "path", "licence", "namespace", "resources"],
)
def test_package_that_opens_files_beside_it(
    site: Path, collected: Collect, code: str, data: str, expected: list[str]
) -> None:
    install(site, "dist", files={"kode/__init__.py": code, f"kode/{data}": ""})
    assert real_files.prefixes(part_of(collected("import kode\n"), "dist")) == expected


@pytest.mark.parametrize("damage", ["empty", "shorter", "changed"])
def test_damaged_cache_is_not_used(
    site: Path, tmp_path: Path, collected: Collect, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    install(site, "dist", files={"kode.py": "x = 1\n"})
    expected = part_of(collected("import kode\n"), "dist").modules
    (stored,) = (tmp_path / "cache" / "falco-plugin" / "code").glob("*/dist-*")
    content = stored.read_bytes()
    stored.write_bytes({"empty": b"", "shorter": content[:-1], "changed": content[:-1] + b"!"}[damage])
    assert part_of(collected("import kode\n"), "dist").modules == expected
    assert stored.read_bytes() == content


def test_build_warns_of_modules_that_python_cannot_compile(site: Path, tmp_path: Path) -> None:
    files = {"kode/__init__.py": "", **{f"kode/old{number}.py": "print 'two'\n" for number in range(7)}}
    install(site, "dist", files=files)
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import kode\n")
    bundle = make_bundle(plugin, archive.pack({"plugin.py": plugin.read_bytes()}), "name", Options())
    (warning,) = bundle.warnings
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert warning.startswith(f"modules that Python {version} cannot compile are not packed: kode.old0, kode.old1,")
    assert "kode.old4 and 2 more: check" in warning
