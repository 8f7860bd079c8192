"""Compiled modules: reproducible bytes, and what they import."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from pathlib import Path

import pytest

from falco_plugin._build.bundle import code, marshalled

SOURCE = '''
"""Documentation."""
from __future__ import annotations
import a.b, json as j
from .sibling import x
from ..parent import *
from . import other
CONSTANTS = {1, 2.5, 3j, 10**30, -7, None, True, ..., b"bytes", "ä", ("t", ("u", ("v",))), "xml.dom"}
def f(x, /, y, *, z: int = 1):
    import nested
    match x:
        case {"key": [1, *rest]}:
            return lambda: (y, rest, x in {"a", "b", "c", "d"}, x[1:2])
    assert y, "an assertion"
if __name__ == "__main__":
    import main_only

    import more
import after
class C[T]: ...
'''
if sys.version_info < (3, 12):
    SOURCE = SOURCE.replace("class C[T]", "class C")
MANY = [
    "dataclasses",
    "encodings.latin_1",
    "encodings.cp1252",
    "enum",
    "html.entities",
    "argparse",
    "typing",
    "asyncio.base_events",
    "encodings.cp037",
    "email.message",
]


def test_code_is_equal_to_what_python_compiles() -> None:
    module = code.compile_module(SOURCE.encode(), "pack.age.mod", False)
    assert module is not None
    loaded = marshal.loads(module.code)
    assert loaded == compile(SOURCE, "pack/age/mod.py", "exec", dont_inherit=True, optimize=0)
    assert loaded.co_filename == "pack/age/mod.py"
    package = code.compile_module(b"", "pack.age", True)
    assert package is not None
    assert marshal.loads(package.code).co_filename == "pack/age/__init__.py"


def test_references_of_a_module() -> None:
    module = code.compile_module(SOURCE.encode(), "pack.age.mod", False)
    assert module is not None
    expected = {"__future__", "a.b", "json", "pack.age.sibling", "pack.age.sibling.x", "pack.parent", "pack.age"}
    expected |= {"pack.age.other", "nested", "after", "__future__.annotations"}
    assert set(module.imports) == expected
    assert module.strings == ("xml.dom",)
    assert not module.uses_path


def test_imports_of_large_modules_are_found() -> None:
    many = "".join(f"from .m{number} import n{number} as a{number}, b\n" for number in range(400))
    module = code.compile_module(many.encode(), "pack.mod", False)
    assert module is not None
    assert {f"pack.m{number}" for number in range(400)} <= set(module.imports)


def test_code_is_equal_in_every_process(tmp_path: Path) -> None:
    script = f"""
import hashlib, importlib.util, sys
sys.path[:0] = {sys.path!r}
from falco_plugin._build.bundle import code
held = []
if sys.argv[1:]:
    import asyncio, ssl, xml.dom.minidom, decimal
    held = [sys.intern(name) for name in [*{MANY!r}, "", *map(chr, range(0x180))]]
for name in {MANY!r}:
    path = importlib.util.find_spec(name).origin
    with open(path, "rb") as file:
        print(name, hashlib.sha256(code.compile_module(file.read(), name, False).code).hexdigest())
"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, arguments in (("1", []), ("2", ["warm"]), ("3", []))
    ]
    assert outputs[0] == outputs[1] == outputs[2]
    assert len(outputs[0].splitlines()) == len(MANY)


def test_normalised_bytes_do_not_change_again() -> None:
    data = marshal.dumps(compile(SOURCE, "x.py", "exec"))
    once = marshalled.normalise(data)
    assert marshalled.normalise(once) == once
    assert marshal.loads(once) == marshal.loads(data)


@pytest.mark.parametrize("data", [b"?", marshal.dumps(1) + b"x", b"c" + bytes(20) + b"?"])
def test_unknown_format_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="marshalled object"):
        marshalled.normalise(data)
