"""Reports of Python's own exceptions end with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bundles import printed

from falco_plugin._runtime import failures
from falco_plugin._runtime.bundle import finder


def raised(action: str) -> Exception:
    try:
        exec(action, {})
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


TIME_ZONE = "import zoneinfo; zoneinfo.ZoneInfo('Europe/Nowhere')"


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("absent.part", ": it is not packed into this library: build it with --include absent"),
        ("falco_plugin_modules_1.part", ": add it to the plugin's folder, and build that folder"),
    ],
)
def test_module_that_is_missing_in_bundle_has_remedy(monkeypatch: pytest.MonkeyPatch, module: str, remedy: str) -> None:
    name = module.partition(".")[0] if module.startswith("absent") else module
    error = ModuleNotFoundError(f"No module named {name!r}", name=name)
    assert "install it into" in failures.describe(error)
    monkeypatch.setattr(finder, "installed", object())
    assert failures.describe(error) == f"ModuleNotFoundError: No module named {name!r}{remedy}"


def test_missing_time_zone_database_has_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tzdata")
    assert "time zone database" not in failures.describe(raised(TIME_ZONE))
    code = f"""
        import zoneinfo
        zoneinfo.reset_tzpath(["/nonexistent"])
        from falco_plugin._runtime import failures
        try:
            {TIME_ZONE}
        except zoneinfo.ZoneInfoNotFoundError as error:
            print(failures.describe(error))
    """
    (message,) = printed(code)
    assert message.endswith(
        "this machine has no time zone database: add tzdata to the plugin's dependencies (<test>:6 in <module>)"
    )
    (message,) = printed(code, packages=("tzdata",))
    assert "this machine has no time zone database" not in message


def test_path_below_library_has_remedy(tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    library.touch()
    error = raised(f"open({str(library / 'package' / 'rows.csv')!r})")
    assert failures.describe(error).endswith(
        "rows.csv': it is in the library, not in the file system: read it with pkgutil.get_data or importlib.resources "
        "(<string>:1 in <module>)"
    )
    assert "it is in the library" not in failures.describe(raised("open('/dev/null/absent')"))


@pytest.mark.parametrize("action", ["open('')", "open(b'')", "import os; os.listdir('')"])
def test_empty_path_has_remedy(action: str) -> None:
    described = failures.describe(raised(action))
    assert "the path is empty: set open_params in falco.yaml, or give --params to falco-plugin run" in described
