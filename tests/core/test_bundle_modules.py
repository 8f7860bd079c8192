"""The modules of a bundle are found and loaded as those of an installed Python."""

from __future__ import annotations

import pytest
from support.bundles import ROOT, evaluated, printed, run_bundled

FILES = {
    "package/__init__.py": "",
    "package/module.py": "def fail():\n    raise ValueError('no record')\n",
    "package/data/rows.csv": "a,b\n",
    "space/part/inner.py": "",
    "package/_vendor/vendored/__init__.py": "from . import part\n",
    "package/_vendor/vendored/part.py": "",
}


ATTRIBUTES = [
    ("json", "__file__", f"{ROOT}/json/__init__.py"),
    ("json", "__path__", [f"{ROOT}/json"]),
    ("json.decoder", "__file__", f"{ROOT}/json/decoder.py"),
    ("json.decoder", "__package__", "json"),
    ("json.decoder", "__spec__.has_location", True),
    ("json.decoder", "__spec__.cached", None),
    ("json.decoder", "JSONDecoder.decode.__code__.co_filename", f"{ROOT}/json/decoder.py"),
    ("_ssl", "__file__", f"{ROOT}/_ssl.so"),
    ("_ssl", "__spec__.origin", f"{ROOT}/_ssl.so"),
    ("_ctypes", "__file__", f"{ROOT}/_ctypes.so"),
    ("importlib.util", "__file__", f"{ROOT}/importlib/util.py"),
    ("itertools", "__spec__.origin", "built-in"),
    ("space", "__path__", [f"{ROOT}/space"]),
    ("space.part", "__path__", [f"{ROOT}/space/part"]),
    ("space.part.inner", "__file__", f"{ROOT}/space/part/inner.py"),
    ("package.data", "__path__", [f"{ROOT}/package/data"]),
    ("falco_plugin._runtime.bundle.finder", "__file__", f"{ROOT}/falco_plugin/_runtime/bundle/finder.py"),
    (
        "falco_plugin._runtime.bundle.finder",
        "install.__code__.co_filename",
        f"{ROOT}/falco_plugin/_runtime/bundle/finder.py",
    ),
]


@pytest.fixture(scope="module")
def attributes() -> dict[str, str]:
    expressions = [f"import_module({module!r}).{attribute}" for module, attribute, _ in ATTRIBUTES]
    return evaluated("from importlib import import_module", expressions, FILES)


@pytest.mark.parametrize(("module", "attribute", "expected"), ATTRIBUTES)
def test_module_has_attribute(attributes: dict[str, str], module: str, attribute: str, expected: object) -> None:
    assert attributes[f"import_module({module!r}).{attribute}"] == ascii(expected)


def test_loader_answers_questions_about_modules() -> None:
    code = """
        import package.module, _ssl
        loader = package.module.__loader__
        print(loader.is_package("package"), loader.is_package("package.module"))
        print(loader.get_code("package.module").co_filename, loader.get_code("_ssl"))
        print(loader.get_source("package.module"), loader.get_filename("package"))
        try:
            loader.get_code("absent")
        except ImportError as error:
            print(error.name)
    """
    assert printed(code, FILES) == [
        "True False",
        f"{ROOT}/package/module.py None",
        f"None {ROOT}/package/__init__.py",
        "absent",
    ]


def test_missing_module_is_ordinary_import_error() -> None:
    code = """
        import importlib.util
        print(importlib.util.find_spec("absent"), importlib.util.find_spec("json").name)
        try:
            import absent
        except ModuleNotFoundError as error:
            print(error)
            from falco_plugin._runtime import failures
            print(failures.describe(error))
    """
    assert printed(code) == [
        "None json",
        "No module named 'absent'",
        "ModuleNotFoundError: No module named 'absent': it is not packed into this library: build it with --include "
        "absent (<test>:5 in <module>)",
    ]


def test_module_can_be_reloaded() -> None:
    assert printed("import importlib, json\nprint(importlib.reload(json) is json)") == ["True"]


def test_pkgutil_lists_modules() -> None:
    code = """
        import pkgutil, package
        print([(found.name, found.ispkg) for found in pkgutil.iter_modules(package.__path__, "package.")])
        print({"json", "space", "package"} & {found.name for found in pkgutil.iter_modules() if found.ispkg})
        print([found.name for found in pkgutil.iter_modules(["/nonexistent"])])
        print(pkgutil.get_data("package", "data/rows.csv"))
    """
    lines = printed(code, FILES)
    assert lines[0] == "[('package.module', False)]"
    assert sorted(eval(lines[1])) == ["json", "package"]
    assert lines[2:] == ["[]", r"b'a,b\n'"]


def test_data_that_was_not_packed_is_clear_error() -> None:
    ran = run_bundled("import pkgutil\npkgutil.get_data('json', 'absent.csv')")
    assert f"FileNotFoundError: {ROOT}/json/absent.csv: not packed into the plugin library" in ran.stderr


def test_path_entries_find_modules_below_them() -> None:
    code = f"""
        import sys
        sys.path.append("{ROOT}/package/_vendor")
        import vendored
        print(vendored.part.__name__, vendored.__file__)
        sys.path[:] = ["{ROOT}", "/nonexistent"]
        import colorsys
        print(colorsys.__file__)
    """
    expected = [f"vendored.part {ROOT}/package/_vendor/vendored/__init__.py", f"{ROOT}/colorsys.py"]
    assert printed(code, FILES) == expected


def test_traceback_shows_files_of_library() -> None:
    code = """
        import package.module, traceback
        from falco_plugin._runtime import failures
        try:
            package.module.fail()
        except ValueError as error:
            print(failures.describe(error))
            print(failures.format_trace(error))
    """
    lines = printed(code, FILES)
    assert lines[0] == "ValueError: no record (module.py:2 in fail)"
    assert f'    File "{ROOT}/package/module.py", line 2, in fail' in lines


@pytest.mark.parametrize(
    ("raises", "location"),
    [
        ("import json; json.loads('{')", "<test>:6 in <module>"),
        ("import package.module; package.module.fail()", "module.py:2 in fail"),
    ],
)
def test_location_of_error_is_outside_of_standard_library(raises: str, location: str) -> None:
    code = f"""
        from falco_plugin._runtime import failures
        try:
            # The standard library and packages are in one folder.

            {raises}
        except ValueError as error:
            print(failures.location_of(error))
    """
    assert printed(code, FILES) == [location]


def test_failed_import_shows_no_lines_of_finder() -> None:
    code = """
        import traceback
        from falco_plugin._runtime import failures
        try:
            import broken
        except ZeroDivisionError as error:
            print(len(traceback.extract_tb(error.__traceback__)))
            print(failures.describe(error))
            print(failures.format_trace(error))
    """
    number, *lines = printed(code, {"broken.py": "1 / 0\n"})
    assert number == "2"
    assert lines[0] == "ZeroDivisionError: division by zero (broken.py:1 in <module>)"
    assert [line for line in lines if "File" in line] == [
        '    File "<test>", line 5, in <module>',
        f'    File "{ROOT}/broken.py", line 1, in <module>',
    ]


def test_interpreter_defines_names_of_site() -> None:
    assert printed("print(callable(exit), callable(quit))") == ["True True"]


def test_sysconfig_answers() -> None:
    code = """
        import sysconfig
        print({"stdlib", "purelib"} - set(sysconfig.get_paths()), sysconfig.get_platform()[:5])
    """
    assert printed(code) == ["set() linux"]
