"""Which data files a build packs if the user includes or excludes them, by options or in the plugin's metadata."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.collected import Collect, names_of, part_of
from support.distributions import install

from falco_plugin._build.errors import TargetError

PYPROJECT = """
    [project]
    name = "example"
    version = "1"
    dependencies = ["cloud"]
"""
PLUGIN = "import cloud"
SERVICES = {
    "cloud/__init__.py": "",
    "cloud/data/all.json": "{}",
    "cloud/data/queue/2012/api.json.gz": "",
    "cloud/data/store/api.json.gz": "",
    "cloud/data/store/paging.json": "{}",
    "cloud/cacert.pem": "",
}


@pytest.fixture(autouse=True)
def cloud(site: Path) -> None:
    install(site, "cloud", files=SERVICES)


def data_files(collect: Collect, *arguments: str, **options: object) -> list[str]:
    part = part_of(collect(*arguments, **options), "cloud")
    return sorted(file for file in part.part.files if "dist-info" not in file)


@pytest.mark.parametrize(
    ("exclude", "include", "packed"),
    [
        ([], [], ["cacert.pem", "data/all.json", "data/queue/2012/api.json.gz", "data/store/api.json.gz",
                  "data/store/paging.json"]),
        (["cloud/data/*"], [], ["cacert.pem"]),
        (["cloud/data/*"], ["cloud/data/store/*"], ["cacert.pem", "data/store/api.json.gz", "data/store/paging.json"]),
        (["cloud/data/*/api.json.gz"], [], ["cacert.pem", "data/all.json", "data/store/paging.json"]),
        (["*/cacert.pem", "cloud/data/store/*"], ["*/paging.json"],
         ["data/all.json", "data/queue/2012/api.json.gz", "data/store/paging.json"]),
        ([], ["cloud/data/store/*"], ["cacert.pem", "data/all.json", "data/queue/2012/api.json.gz",
                                      "data/store/api.json.gz", "data/store/paging.json"]),
    ],
)  # fmt: skip
def test_patterns_choose_data_files(
    collected: Collect, exclude: list[str], include: list[str], packed: list[str]
) -> None:
    files = data_files(collected, PLUGIN, include=include, exclude=exclude)
    assert files == [f"cloud/{file}" for file in packed]


def test_options_are_added_to_pyproject(collected: Collect) -> None:
    table = """
        [tool.falco-plugin]
        exclude = ["cloud/data/*", "zipfile"]
        include = ["cloud/data/store/*", "wsgiref"]
    """
    files = {"plugin.py": "import cloud, zipfile", "pyproject.toml": PYPROJECT + table}
    collection = collected(files=files, exclude=["cloud/cacert.*", "cloud/data/store/paging.json"], include=["csv"])
    part = part_of(collection, "cloud")
    assert [file for file in part.part.files if "dist-info" not in file] == [
        "cloud/data/store/api.json.gz",
        "cloud/data/store/paging.json",
    ]
    assert {"csv", "wsgiref.headers"} <= set(collection.standard.modules)
    assert "zipfile" not in collection.standard.modules


def test_single_file_states_them_in_its_metadata(collected: Collect) -> None:
    code = """\
# /// script
# dependencies = ["cloud"]
# [tool.falco-plugin]
# exclude = ["cloud/data/*"]
# ///
"""
    assert data_files(collected, code) == ["cloud/cacert.pem"]


def test_metadata_of_a_single_file_may_lack_dependencies(collected: Collect) -> None:
    code = "# /// script\n# [tool.falco-plugin]\n# exclude = ['cloud']\n# ///\nimport cloud\n"
    assert names_of(collected(code)) == []


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_pattern_without_a_match_is_an_error(collected: Collect, option: str) -> None:
    message = f"--{option} cloud/no/[*]: no data file of a packed distribution"
    with pytest.raises(TargetError, match=message):
        collected(PLUGIN, **{option: ["cloud/no/*"]})


@pytest.mark.parametrize("pattern", ["cloud-1.0.dist-info/*", "falco_plugin/*"])
def test_licences_and_the_sdk_cannot_be_excluded(collected: Collect, pattern: str) -> None:
    with pytest.raises(TargetError, match="no data file of a packed distribution"):
        collected(PLUGIN, exclude=[pattern])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[tool]\nfalco-plugin = 3", "pyproject.toml: tool.falco-plugin must be a table, got int"),
        ("[tool.falco-plugin]\nexcludes = []", "has no key 'excludes': use include or exclude"),
        ("[tool.falco-plugin]\nexclude = 'a'", "exclude in tool.falco-plugin must be a list of strings, got 'a'"),
        ("[tool.falco-plugin]\ninclude = [1]", "include in tool.falco-plugin must be a list of strings, got [1]"),
        ("[tool.falco-plugin]\nexclude = ['no_such']", "pyproject.toml: exclude no_such: no module, package or"),
        ("[tool.falco-plugin]\ninclude = ['no_such']", "pyproject.toml: include no_such: no module, package or"),
        ("[tool.falco-plugin]\nexclude = ['x/*']", "pyproject.toml: exclude x/*: no data file"),
    ],
)
def test_invalid_table_is_an_error(collected: Collect, table: str, message: str) -> None:
    lines = [line.strip() for line in PYPROJECT.splitlines()]
    with pytest.raises(TargetError) as raised:
        collected(files={"plugin.py": PLUGIN, "pyproject.toml": "\n".join([*lines, table])})
    assert message in str(raised.value)


def test_other_tools_do_not_matter(collected: Collect) -> None:
    for tool in ("tool = 3", "[tool.other]\nexclude = 3"):
        code = f"# /// script\n# {tool.replace(chr(10), chr(10) + '# ')}\n# ///\nimport cloud\n"
        assert len(data_files(collected, code)) == 5


def test_part_of_the_standard_library_may_be_missing(collected: Collect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("falco_plugin._build.bundle.standard_library.StandardLibrary.has", lambda *_: False)
    assert "tkinter" not in collected(PLUGIN, exclude=["tkinter"]).standard.modules
