"""Tests which configuration class the SDK finds in the declaration of a plugin."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable

import pytest

from falco_plugin._declare.config_class import config_class
from falco_plugin.errors import PluginError


@pytest.fixture
def define(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], type]:
    """Returns a function that runs the source of a module and returns its class `Declaring`."""

    def run(source):
        module = types.ModuleType("declaring")
        monkeypatch.setitem(sys.modules, "declaring", module)
        # Without dont_inherit, the code would have the future statements of this file.
        exec(compile(source, "declaring.py", "exec", dont_inherit=True), vars(module))
        return module.Declaring

    return run


MODULE = """
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
import msgspec
from falco_plugin import Plugin

if TYPE_CHECKING:
    from nowhere import Missing

@dataclass
class Data: ...
class Struct(msgspec.Struct): ...
class Plain: ...
"""
POSTPONED = "from __future__ import annotations\n"
DEFERRED = pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated immediately")
BOTH = pytest.mark.parametrize("future", [POSTPONED, pytest.param("", marks=DEFERRED)])
"""With annotations that are strings, and with those of Python 3.14, which are evaluated at first use."""


@pytest.mark.parametrize("future", [POSTPONED, ""])
@pytest.mark.parametrize("base", ["", "(Plugin)"])
@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("config: Data", "Data"),
        ("config: Struct", "Struct"),
        ("config: 'Struct'", "Struct"),
        ("config: str", None),
        ("config: 'str'", None),
        ("config: Any", None),
        ("name = 'lines'", None),
        ("class Inner(msgspec.Struct): ...\n    config: Inner", "Inner"),
    ],
)
def test_config_annotation_names_class(define, future, base, body, name):
    found = config_class(define(f"{future}{MODULE}\nclass Declaring{base}:\n    {body}"))
    assert (found and found.__name__) == name


@pytest.mark.parametrize(
    ("classes", "name"),
    [
        ("class Base(Plugin):\n    config: Data\nclass Declaring(Base): ...", "Data"),
        ("class Base(Plugin):\n    config: Data\nclass Declaring(Base):\n    config: Struct", "Struct"),
        ("class Base(Plugin):\n    config: Data\nclass Declaring(Base):\n    config: str", None),
        ("class Mixin:\n    config: Data\nclass Declaring(Mixin, Plugin): ...", "Data"),
        ("class Mixin:\n    config: Data\nclass Declaring(Plugin, Mixin): ...", None),
    ],
)
def test_nearest_annotation_wins(define, classes, name):
    found = config_class(define(f"{MODULE}\n{classes}"))
    assert (found and found.__name__) == name


@BOTH
def test_later_class_is_found(define, future):
    found = config_class(
        define(f"{future}{MODULE}\nclass Declaring(Plugin):\n    config: Later\nclass Later(Data): ...")
    )
    assert found.__name__ == "Later"


@DEFERRED
def test_class_in_function_is_found(define):
    source = """
def define():
    @dataclass
    class Local: ...
    class Declaring(Plugin):
        other: Missing
        config: Local
    return Declaring

Declaring = define()
"""
    assert config_class(define(f"{MODULE}{source}")).__name__ == "Local"


@BOTH
def test_other_annotations_are_not_evaluated(define, future):
    found = config_class(define(f"{future}{MODULE}\nclass Declaring(Plugin):\n    other: Missing\n    config: Data"))
    assert found.__name__ == "Data"


@pytest.mark.parametrize(
    ("annotation", "description"),
    [
        ("Plain", "Plain (put @dataclass on it)"),
        ("int", "int"),
        ("None", "None"),
        ("dict[str, int]", "dict[str, int]"),
        ("list[Data]", "list[Data]"),
        ("Data | None", "Data | None"),
        ("Data()", "Data()"),
    ],
)
@pytest.mark.parametrize("future", [POSTPONED, ""])
def test_other_annotation_types_are_rejected(define, future, annotation, description):
    cls = define(f"{future}{MODULE}\nclass Declaring:\n    config: {annotation}")
    with pytest.raises(PluginError) as caught:
        config_class(cls)
    assert (
        str(caught.value)
        == f"Declaring.config must be annotated with str, a dataclass or a msgspec.Struct, not {description}"
    )


@pytest.mark.parametrize("value", ["Data", "Data()"])
def test_assigned_class_is_rejected(define, value):
    cls = define(f"{MODULE}\nclass Declaring:\n    config = {value}")
    with pytest.raises(PluginError) as caught:
        config_class(cls)
    assert str(caught.value) == "Declaring.config is set, but not annotated: write config: Data"


@BOTH
@pytest.mark.parametrize("annotation", ["Missing", "Missing | None", "Data | Missing", "list[Missing] | None"])
def test_unresolvable_annotation_is_rejected(define, future, annotation):
    cls = define(f"{future}{MODULE}\nclass Declaring:\n    config: {annotation}")
    with pytest.raises(PluginError) as caught:
        config_class(cls)
    assert str(caught.value) == (
        "Declaring.config: the annotation cannot be evaluated (name 'Missing' is not defined): "
        "use a class that its module has at run time"
    )
