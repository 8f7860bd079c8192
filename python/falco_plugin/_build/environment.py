"""Finds the parts of a Python environment that a plugin library needs.

make runs this file as a script before the package is installed, so it imports nothing else of the package then.
"""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
import sysconfig


def is_free_threaded() -> bool:
    """Returns whether this Python can run without a GIL."""
    return bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def python_version() -> str:
    """Returns the major and minor version of this Python, such as "3.11", or "3.14t" for a free-threaded one."""
    return f"{sys.version_info.major}.{sys.version_info.minor}{'t' if is_free_threaded() else ''}"


def libpython() -> str:
    """Returns the path of the shared library of this Python.

    Raises:
        FileNotFoundError: this Python has no shared library. The message names the package that has it.
    """
    names = dict.fromkeys(
        name
        for name in (sysconfig.get_config_var("INSTSONAME"), sysconfig.get_config_var("LDLIBRARY"))
        if name and ".so" in name
    ) or {f"libpython{python_version()}.so.1.0": None}
    library_folder = sysconfig.get_config_var("LIBDIR") or ""
    folders = [
        library_folder,
        os.path.join(library_folder, sysconfig.get_config_var("MULTIARCH") or ""),
        os.path.join(sys.base_prefix, "lib"),
        os.path.join(sys.base_prefix, "lib64"),
    ]
    for folder in folders:
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return os.path.realpath(path)
    raise FileNotFoundError(
        f"{sys.executable} has no shared library ({', '.join(names)}), which Falco needs to run a plugin: {_remedy()}"
    )


def _remedy() -> str:
    """Returns how to install the shared library of this Python on this system."""
    version = python_version()
    if sys.base_prefix != "/usr":
        return (
            "choose another Python, or build this one with its shared library "
            f"(pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {version})"
        )
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    systems = {system.get("ID"), *system.get("ID_LIKE", "").split()}
    if "debian" in systems:
        return f"apt-get install libpython{version}"
    if "fedora" in systems:
        return f"dnf install python{version}-libs"
    return f"install the package that has it, such as libpython{version} or python{version}-libs"


def libpython_name() -> str:
    """Returns the name by which other libraries need the shared library of this Python."""
    return os.path.basename(sysconfig.get_config_var("INSTSONAME") or libpython())


def print_location() -> None:
    """Prints the paths of the shared library, the extension module and the executable, and then ``sys.path``.

    A plugin library calls this in the Python that ``FALCO_PLUGIN_PYTHON`` names. Each path is a line.
    """
    from falco_plugin import _core

    print(libpython(), os.path.realpath(_core.__file__), sys.executable, *sys.path, sep="\n")


@functools.cache
def folders() -> tuple[str, ...]:
    """Returns the folders of ``sys.path`` in an isolated Python of this environment, which is how Falco runs it."""
    path = [sys.executable, "-I", "-c", "import sys; print(*sys.path, sep='\\n')"]
    return tuple(subprocess.run(path, capture_output=True, text=True, check=True).stdout.splitlines())


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - runs before anything is installed
        sys.exit(f"Python 3.11 or newer is required, but {sys.executable} is {python_version()}")
    try:
        libpython()
    except FileNotFoundError as error:
        sys.exit(str(error))
