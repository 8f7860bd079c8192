"""Which distributions a self-contained library brings."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.collected import Collect, names_of, part_of
from support.distributions import install, install_editable, write

from falco_plugin._build.errors import TargetError

EMPTY = {"__init__.py": ""}


def package(name: str) -> dict[str, str]:
    return {f"{name}/__init__.py": ""}


PROJECT = '[project]\nname = "p"\nversion = "1"\ndependencies = [{}]\n'


def project(*dependencies: str, code: str = "") -> dict[str, str]:
    """Returns the files of a plugin with a pyproject.toml."""
    listed = ", ".join(repr(dependency) for dependency in dependencies)
    return {"plugin.py": code, "pyproject.toml": PROJECT.format(listed)}


def test_single_file_brings_imports_and_their_requirements(site: Path, collected: Collect) -> None:
    install(
        site, "Top.Package", files=package("top"), requires=["below>=1; python_version >= '3'", "unmet; os_name == 'x'"]
    )
    install(site, "below", files=package("below"))
    install(site, "lazy", files=package("lazy"))
    install(site, "unused", files=package("unused"))
    found = collected(
        "import json, top.sub\ndef f():\n    try:\n        from lazy import x\n    except ImportError: ...\n"
    )
    assert names_of(found) == ["below", "lazy", "top-package"]
    assert found.needed["top-package"].requires == ["below"]
    assert {"falco-plugin-sdk", "msgspec"} <= set(found.needed)
    assert not {"click", "packaging", "pyyaml"} & set(found.needed)


def test_imports_for_type_checkers_and_scripts_are_not_packed(site: Path, collected: Collect) -> None:
    install(site, "typed", files=package("typed"))
    install(site, "script", files=package("script"))
    code = """
import typing
if typing.TYPE_CHECKING:
    import typed
if __name__ == "__main__":
    import script
"""
    assert names_of(collected(code)) == []


def test_pyproject_brings_declared_dependencies_with_extras(site: Path, collected: Collect) -> None:
    install(site, "base", files=package("base"), requires=["fast; extra == 'speed'", "nice; extra == 'looks'"])
    install(site, "fast", files=package("fast"), requires=["base[looks]"])
    install(site, "nice", files=package("nice"))
    found = collected(files=project("falco-plugin-sdk", "base[speed]>=1", "unmet; python_version < '3'"))
    assert names_of(found) == ["base", "fast", "nice"]
    assert found.needed["base"].requires == ["fast", "nice"]
    assert found.warnings == []


def test_pyproject_without_needed_dependency_is_warned_about(site: Path, collected: Collect) -> None:
    install(site, "forgotten", files=package("forgotten"))
    found = collected(files=project(code="import forgotten\ntry:\n    import optional\nexcept ImportError: ...\n"))
    assert names_of(found) == []
    (warning,) = found.warnings
    assert warning.startswith("plugin.py imports forgotten, but ")
    assert warning.endswith("add forgotten to project.dependencies, or build with --include forgotten")
    assert names_of(collected(files=project(code="import forgotten\n"), include=["forgotten"])) == ["forgotten"]


def test_dynamic_dependencies_come_from_installed_project(site: Path, collected: Collect) -> None:
    files = {"plugin.py": "", "pyproject.toml": '[project]\nname = "my-plugin"\ndynamic = ["dependencies"]\n'}
    install(site, "declared", files=package("declared"))
    assert names_of(collected(files=files)) == []
    install(site, "my_plugin", requires=["declared", "pytest; extra == 'test'"])
    assert names_of(collected(files=files)) == ["declared"]


def test_namespace_package_brings_only_imported_distribution(site: Path, collected: Collect) -> None:
    install(site, "cloud-storage", files={"cloud/storage/__init__.py": "", "cloud/storage/blob.py": ""})
    install(site, "cloud-queue", files={"cloud/queue/__init__.py": ""})
    found = collected("from cloud.storage.blob import Blob\n")
    assert names_of(found) == ["cloud-storage"]
    assert sorted(part_of(found, "cloud-storage").modules) == ["cloud.storage", "cloud.storage.blob"]


def test_module_of_several_distributions_is_packed_once(site: Path, collected: Collect) -> None:
    extend = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    for name in ("a", "b"):
        files = {"shared/__init__.py": extend, "shared/LICENCE.txt": "", f"shared/{name}.py": ""}
        install(site, f"shared-{name}", files=files)
    found = collected("import shared.a, shared.b\n")
    assert sorted(part_of(found, "shared-a").modules) == ["shared", "shared.a"]
    assert sorted(part_of(found, "shared-b").modules) == ["shared.b"]
    assert "shared/LICENCE.txt" not in part_of(found, "shared-b").part.files


def test_module_of_standard_library_takes_precedence(site: Path, collected: Collect) -> None:
    install(
        site,
        "backport",
        files={"backport.py": "import json\n", "json/__init__.py": "", "json/new.py": "", "sys.py": ""},
    )
    found = collected("import backport\n")
    assert sorted(part_of(found, "backport").modules) == ["backport"]
    assert "json" in found.standard.modules


def test_time_zones_are_packed_if_zoneinfo_is_imported(site: Path, collected: Collect) -> None:
    assert "tzdata" not in names_of(collected("import datetime\n"))
    assert "tzdata" in names_of(collected("from zoneinfo import ZoneInfo\n"))
    assert "tzdata" not in names_of(collected("from zoneinfo import ZoneInfo\n", exclude=["tzdata"]))


# Editable installs

SETUPTOOLS = """
    from __future__ import annotations
    MAPPING: dict[str, str] = {{'kode': {code!r}, 'single': {single!r}}}
    NAMESPACES: dict[str, list[str]] = {{}}
"""
HATCHLING = """
    from editables.redirector import RedirectingFinder as F
    F.install()
    F.map_module('kode', {init!r})
    F.map_module('single', {single!r})
"""


def editable_files(style: str, root: Path) -> dict[str, str]:
    """Returns the files by which a build backend points to the code of a project."""
    code, single = root / "kode", root / "single.py"
    match style:
        case "maturin" | "flat":
            return {"my_dist.pth": f"# comment\n{root}\n"}
        case "hatchling":
            finder = HATCHLING.format(init=str(code / "__init__.py"), single=str(single))
            return {"_my_dist.pth": "import _editable_impl_my_dist\n", "_editable_impl_my_dist.py": finder}
        case _:
            finder = SETUPTOOLS.format(code=str(code), single=str(single.with_suffix("")))
            name = "__editable___my_dist_1_0_finder"
            return {"__editable__.my_dist-1.0.pth": f"import {name}; {name}.install()\n", f"{name}.py": finder}


@pytest.mark.parametrize("style", ["maturin", "flat", "hatchling", "setuptools"])
def test_editable_install_is_packed_from_its_folder(site: Path, tmp_path: Path, collected: Collect, style: str) -> None:
    root = tmp_path / "project"
    code = {"kode/__init__.py": "", "kode/sub/deep.py": "", "kode/data.json": "{}", "single.py": ""}
    write(root, {**code, "tests/test_it.py": "", "setup.py": "", "kode/.hidden.py": "", "docs/conf.py": ""})
    top_level = "kode\nsingle\n" if style in {"flat", "setuptools"} else ""
    install_editable(site, "my-dist", root, editable_files(style, root), top_level=top_level)
    part = part_of(collected("import single\n"), "my-dist")
    assert {"kode", "kode.sub.deep", "single"} <= set(part.modules)
    assert not {"setup", "tests.test_it", "docs.conf"} & set(part.modules)
    assert part.part.modules["kode"].path == root / "kode" / "__init__.py"
    assert "kode/data.json" in part.part.files
    assert "my_dist-1.0.dist-info/METADATA" in part.part.files


def test_legacy_develop_install_is_packed_from_its_folder(site: Path, tmp_path: Path, collected: Collect) -> None:
    root = site / "checkout"
    info = {"PKG-INFO": "Metadata-Version: 2.1\nName: old-style\nVersion: 2.0\n", "top_level.txt": "old_style\n"}
    write(site, {"setup.py": "", "old_style/__init__.py": "", "old_style/page.html": "", "other/__init__.py": ""})
    write(site / "old_style.egg-info", info)
    part = part_of(collected("import old_style\n"), "old-style")
    assert list(part.modules) == ["old_style"]
    assert "old_style/page.html" in part.part.files
    assert not root.exists()


# Errors


@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        (
            "absent>=2",
            f"requires absent>=2, which is not installed: install it ({sys.executable} -m pip install 'absent>=2')",
        ),
        ("needy", "needy 1.0 requires missing[x]>1, which is not installed: "),
        ("needy>=2,<3", "requires needy<3,>=2, but needy 1.0 is installed: "),
        ("not a requirement", "'not a requirement' is not a requirement: "),
    ],
)
def test_missing_dependency_is_an_error_with_remedy(
    site: Path, collected: Collect, dependency: str, message: str
) -> None:
    install(site, "needy", files=package("needy"), requires=["missing[x]>1; python_version > '3'"])
    with pytest.raises(TargetError) as raised:
        collected(files=project(dependency))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[project", "cannot read "),
        ('[project]\ndependencies = "a"\n', "project.dependencies must be a list of strings"),
    ],
)
def test_invalid_pyproject_is_an_error(collected: Collect, text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        collected(files={"plugin.py": "", "pyproject.toml": text})


def script(*lines: str, code: str = "") -> str:
    """Returns the code of a plugin with inline metadata."""
    return "\n".join(["#!/usr/bin/env python3", "# /// script", *(f"# {line}" for line in lines), "# ///", code])


def test_script_brings_declared_dependencies_with_extras(site: Path, collected: Collect) -> None:
    install(site, "driver", files=package("driver"), requires=["native; extra == 'binary'"])
    install(site, "native", files=package("native"))
    install(site, "elsewhere", files=package("elsewhere"))
    lines = ['requires-python = ">=3.11"', 'dependencies = ["driver[binary]>=1", "elsewhere; os_name == \'x\'"]']
    assert names_of(collected("import driver")) == ["driver"]
    found = collected(script(*lines, code="import driver"))
    assert names_of(found) == ["driver", "native"]
    assert found.warnings == []


def test_script_without_needed_dependency_is_warned_about(site: Path, collected: Collect) -> None:
    install(site, "used", files=package("used"))
    found = collected(script("dependencies = []", code="import used"))
    assert names_of(found) == []
    (warning,) = found.warnings
    assert "plugin.py imports used, but " in warning
    assert "add used to dependencies in its '# /// script' block, or build with --include used" in warning


@pytest.mark.parametrize(
    "code",
    [
        script('requires-python = ">=3.11"', code="import used"),
        "# /// script\n# dependencies = []\nimport used",
        "# /// other\n# dependencies = []\n# ///\nimport used",
        '# coding: latin-1\nimport used  # "# /// script"',
    ],
    ids=["no dependencies", "no end", "other type", "none"],
)
def test_file_without_declared_dependencies_brings_imports(site: Path, collected: Collect, code: str) -> None:
    install(site, "used", files=package("used"))
    assert names_of(collected(code)) == ["used"]


def test_content_of_script_block_may_look_like_its_end(site: Path, collected: Collect) -> None:
    install(site, "used", files=package("used"))
    lines = ['text = """', "/// script", "///", '"""', 'dependencies = ["used"]']
    assert names_of(collected(script(*lines))) == ["used"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (script("dependencies ="), "block is not TOML: .*: correct it, or remove it"),
        (script('dependencies = "used"'), "dependencies in its '# /// script' block must be a list of strings"),
        (
            script('dependencies = ["absent[x]"]'),
            r"requires absent\[x\], which is not installed: install it .*absent\[x\]",
        ),
        (script('requires-python = ">=9"'), r"requires Python >=9, but .* is Python 3\..*: .*build with --python PATH"),
        (script("requires-python = 3"), "must be a range of versions such as .*, got 3"),
        (script('requires-python = "new"'), "must be a range of versions such as .*, got 'new'"),
        (script() + "\n" + script(), "has 2 '# /// script' blocks: keep one of them"),
    ],
)
def test_invalid_script_block_is_an_error(collected: Collect, code: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        collected(code)


def test_pyproject_of_tools_alone_declares_nothing(site: Path, collected: Collect) -> None:
    install(site, "imported", files=package("imported"))
    found = collected(files={"plugin.py": "import imported\n", "pyproject.toml": "[tool.ruff]\n"})
    assert names_of(found) == ["imported"]


def test_module_without_metadata_is_an_error(site: Path, collected: Collect) -> None:
    write(site, {"orphan/__init__.py": ""})
    with pytest.raises(TargetError) as raised:
        collected("import orphan\n")
    assert f"imports orphan from {site / 'orphan' / '__init__.py'}, which belongs to no installed package" in str(
        raised.value
    )


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("no RECORD", "broken 1.0 has no list of its files (RECORD), so build cannot pack it: install it with pip"),
        ("no module", "broken 1.0 lacks "),
        ("unknown editable", "broken 1.0 is installed as editable in a form that build cannot read: "),
    ],
)
def test_broken_distribution_is_an_error(
    site: Path, tmp_path: Path, collected: Collect, fault: str, message: str
) -> None:
    if fault == "unknown editable":
        install_editable(site, "broken", tmp_path, {"broken.pth": "import somewhere\n", "somewhere.py": "import os\n"})
    else:
        install(site, "broken", files=package("broken"))
        removed = "broken-1.0.dist-info/RECORD" if fault == "no RECORD" else "broken/__init__.py"
        (site / removed).unlink()
    with pytest.raises(TargetError) as raised:
        collected(files=project("broken"))
    assert message in str(raised.value)


@pytest.mark.parametrize("options", [{"include": ["no_such"]}, {"exclude": ["no_such"]}])
def test_unknown_name_is_an_error(collected: Collect, options: dict[str, list[str]]) -> None:
    (option,) = options
    with pytest.raises(TargetError, match=f"--{option} no_such: no module, package or distribution"):
        collected("", **options)


@pytest.mark.parametrize("name", ["falco-plugin-sdk", "falco_plugin.source"])
def test_sdk_cannot_be_excluded(collected: Collect, name: str) -> None:
    with pytest.raises(TargetError, match="the SDK is always packed"):
        collected("", exclude=[name])


@pytest.mark.parametrize(
    ("code", "packed"),
    [
        ("import falco_plugin", set()),
        ("from falco_plugin import Plugin", set()),
        ("from falco_plugin.polling import HttpPoller", {"polling"}),
        ("import falco_plugin.polling.request", {"polling"}),
        ("from falco_plugin.receiving import HttpReceiver", {"receiving"}),
    ],
)
def test_optional_packages_of_the_sdk_are_packed_with_their_requirements(
    collected: Collect, code: str, packed: set[str]
) -> None:
    found = collected(code)
    names = {name.split(".")[1] for name in found.sdk.modules if name.count(".")}
    assert {"polling", "receiving"} & names == packed
    assert ("httpx" in found.needed) == ("polling" in packed)


def test_excluded_distribution_is_left_out_with_its_requirements(site: Path, collected: Collect) -> None:
    install(site, "top", files=package("top"), requires=["middle", "kept"])
    install(site, "middle", files=package("middle"), requires=["absent"])
    install(site, "kept", files=package("kept"))
    assert names_of(collected("import top\n", exclude=["Middle"])) == ["kept", "top"]
