"""The data files and distributions of a bundle are those that importlib.resources and importlib.metadata find."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bundles import ROOT, evaluated, printed

FILES = {
    "package/__init__.py": "",
    "package/rows.csv": "ä,b\n".encode(),
    "package/deep/a/one.txt": "one",
    "package/deep/two.bin": b"\0\xff",
    "package/deep/code.py": "",
    "tool-1.2.dist-info/METADATA": "Name: Tool\nVersion: 1.2\nRequires-Dist: click>=8; extra == 'cli'\n",
    "tool-1.2.dist-info/entry_points.txt": "[tool.plugins]\nown = package:main\n",
    "tool-1.2.dist-info/RECORD": "package/__init__.py,,\npackage/rows.csv,,\n",
    "some_thing-0.dist-info/METADATA": "Name: Some.Thing\nVersion: 0\n",
    "old-3.egg-info/PKG-INFO": "Name: old\nVersion: 3\n",
}


CONTENTS = [
    ("files('package').joinpath('rows.csv').read_text(encoding='utf-8')", "ä,b\n"),
    ("(files('package') / 'deep' / 'two.bin').read_bytes()", b"\0\xff"),
    ("files('package').joinpath('deep', 'a/one.txt').read_text()", "one"),
    ("files('package.deep').joinpath('a/../two.bin').name", "two.bin"),
    ("files('package.deep.a').joinpath('one.txt').is_file()", True),
    ("sorted(file.name for file in files('package').iterdir())", ["deep", "rows.csv"]),
    (
        "sorted((file.name, file.is_dir()) for file in files('package').joinpath('deep').iterdir())",
        [("a", True), ("two.bin", False)],
    ),
    ("files('package').joinpath('absent').is_file()", False),
    ("files('package').joinpath('absent').is_dir()", False),
    ("files('json').is_dir()", True),
    ("list(files('json').iterdir())", []),
    ("str(files('package') / 'rows.csv')", f"{ROOT}/package/rows.csv"),
    ("files('package') / 'deep' in {files('package.deep')}", True),
    ("(files('package') / 'rows.csv').open('rb').read()", "ä,b\n".encode()),
    ("(files('package') / 'rows.csv').open(encoding='latin-1').read()", "Ã¤,b\n"),
    ("importlib.resources.open_text('package', 'rows.csv', encoding='utf-8').read()", "ä,b\n"),
    ("importlib.resources.read_binary('package.deep', 'two.bin')", b"\0\xff"),
    ("importlib.resources.is_resource('package', 'rows.csv')", True),
]

ERRORS = [
    ("(package / 'absent').read_bytes()", f"FileNotFoundError: {ROOT}/package/absent: not packed into the plugin "),
    ("(package / 'deep').read_text()", f"IsADirectoryError: {ROOT}/package/deep is a folder of the plugin library"),
    ("(package / 'rows.csv').iterdir()", f"NotADirectoryError: {ROOT}/package/rows.csv is not a folder of the"),
    ("(package / 'rows.csv').open('w')", "ValueError: mode must be 'r' or 'rb', got 'w': a file of the plugin "),
]


@pytest.fixture(scope="module")
def contents() -> dict[str, str]:
    setup = """
        import importlib.resources, warnings
        from importlib.resources import files
        package = files("package")
        warnings.simplefilter("ignore")
    """
    return evaluated(setup, [expression for expression, _ in CONTENTS + ERRORS], FILES)


@pytest.mark.parametrize(("expression", "expected"), CONTENTS)
def test_resource_has_content(contents: dict[str, str], expression: str, expected: object) -> None:
    assert contents[expression] == ascii(expected)


@pytest.mark.parametrize(("expression", "error"), ERRORS)
def test_wrong_use_of_resource_is_clear_error(contents: dict[str, str], expression: str, error: str) -> None:
    assert contents[expression].startswith(error)


AS_FILE = """
    import os
    from importlib.resources import as_file, files
    with as_file(files("package") / {name!r}) as path:
        found = [path] if path.is_file() else sorted(path.rglob("*.*"))
        print(path)
        print([(file.name, file.read_bytes()) for file in found])
    print(os.path.exists(path))
"""


def test_file_has_path_in_memory() -> None:
    path, content, exists = printed(AS_FILE.format(name="deep/two.bin"), FILES)
    assert path.startswith("/proc/self/fd/")
    assert content.endswith(r"b'\x00\xff')]")
    assert exists == "False"


@pytest.mark.parametrize(("name", "refuses_memory"), [("deep/two.bin", True), ("deep", False), ("deep", True)])
def test_file_or_folder_has_path_in_private_folder(tmp_path: Path, name: str, refuses_memory: bool) -> None:
    tmp_path.chmod(0o700)
    env = {"TMPDIR": str(tmp_path)}
    code = AS_FILE.format(name=name)
    path, content, exists = printed(code, FILES, refuses_memory=refuses_memory, env=env)
    assert Path(path).is_relative_to(tmp_path)
    one, two = ("one.txt", b"one"), ("two.bin", b"\0\xff")
    assert content == str([one, two] if name == "deep" else [two])
    assert exists == "False"
    assert list(tmp_path.iterdir()) == []


def test_certifi_needs_no_file() -> None:
    code = """
        import certifi, ssl
        context = ssl.create_default_context(cafile=certifi.where())
        print(certifi.where()[:14], context.cert_store_stats()["x509_ca"] > 50)
    """
    assert printed(code, packages=("certifi",)) == ["/proc/self/fd/ True"]


DISTRIBUTIONS = [
    ("version('tool')", "1.2"),
    ("version('some-thing')", "0"),
    ("version('SOME_THING')", "0"),
    ("version('old')", "3"),
    ("requires('tool')", ["click>=8; extra == 'cli'"]),
    ("metadata('tool')['Name']", "Tool"),
    ("[point.value for point in entry_points(group='tool.plugins')]", ["package:main"]),
    ("sorted(each.metadata['Name'] for each in distributions())", ["Some.Thing", "Tool", "old"]),
    ("[file.read_text() for file in files('tool') if file.suffix == '.csv']", ["ä,b\n"]),
    ("files('some.thing')", None),
    ("distribution('tool').read_text('absent.txt')", None),
]


@pytest.fixture(scope="module")
def distributions() -> dict[str, str]:
    expressions = [expression for expression, _ in DISTRIBUTIONS]
    return evaluated("from importlib.metadata import *", expressions, FILES)


@pytest.mark.parametrize(("expression", "expected"), DISTRIBUTIONS)
def test_distribution_has_metadata(distributions: dict[str, str], expression: str, expected: object) -> None:
    assert distributions[expression] == ascii(expected)


def test_missing_distribution_is_ordinary_error() -> None:
    code = """
        import importlib.metadata
        try:
            importlib.metadata.version("absent")
        except importlib.metadata.PackageNotFoundError as error:
            print(error.name)
    """
    assert printed(code, FILES) == ["absent"]
