"""Code that runs with a double of a bundle, see `bundle_double`."""

from __future__ import annotations

import ast
import marshal
import os
import sys
import sysconfig
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

import falco_plugin
from support import bundle_double
from support.hosts import Output, environment, run

ROOT = "/opt/plugins/libexample.so"
PYTHON = os.environ.get("BUNDLE_PYTHON", sys.executable)
"""The Python that runs the code. Another version than this one shows that the adaptations fit it too."""


def run_bundled(
    code: str,
    files: Mapping[str, str | bytes] | None = None,
    packages: tuple[str, ...] = (),
    *,
    root: str | Path = ROOT,
    refuses_memory: bool = False,
    env: Mapping[str, str | None] | None = None,
) -> Output:
    """Runs code in a process whose modules are all in a bundle.

    Args:
        code: the code. Its output is the result.
        files: modules and data files of the bundle by their paths.
        packages: packages and distribution folders of this environment that the bundle has too.
        root: the path of the library.
        refuses_memory: whether the kernel refuses files in memory.
        env: changes of the environment variables.
    """
    is_other = sys.executable != PYTHON
    paths = run(PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))").stdout.strip()
    request = {
        "code": textwrap.dedent(code),
        "root": str(root),
        "libpython": sysconfig.get_config_var("INSTSONAME"),
        "refuses_memory": refuses_memory,
        "core": is_other,
        "folders": [
            (paths if is_other else sysconfig.get_path("stdlib"), [""]),
            (str(Path(falco_plugin.__file__).parent.parent), ["falco_plugin"]),
            *((folder_of(package), [package]) for package in packages),
        ],
        "files": {
            name: content.decode("latin-1") if isinstance(content, bytes) else textwrap.dedent(content)
            for name, content in (files or {}).items()
        },
    }
    program = (PYTHON, "-I", "-S", "-X", "frozen_modules=on", bundle_double.__file__)
    return run(*program, marshal.dumps(request, 4).hex(), env=environment(**(env or {})))


def folder_of(package: str) -> str:
    """Returns the folder of ``sys.path`` that has a package or a distribution folder."""
    return next(folder for folder in sys.path if (Path(folder) / package).exists())


def printed(code: str, files: Mapping[str, str | bytes] | None = None, **options: object) -> list[str]:
    """Runs code as `run_bundled`, which must succeed, and returns the lines that it prints."""
    ran = run_bundled(code, files, **options)
    assert ran.status == 0, ran.stderr
    return ran.stdout.splitlines()


def evaluated(setup: str, expressions: Iterable[str], files: Mapping[str, str | bytes] | None = None) -> dict[str, str]:
    """Returns what `ascii` makes of each expression, or the exception that it raises. All run in one process."""
    loop = """
    for expression in {}:
        try:
            value = ascii(eval(expression))
        except Exception as error:
            value = f"{{type(error).__name__}}: {{error}}"
        print(ascii((expression, value)))
    """
    code = textwrap.dedent(setup) + textwrap.dedent(loop).format(list(dict.fromkeys(expressions)))
    return dict(ast.literal_eval(line) for line in printed(code, files))
