"""Builds a Python whose libpython is not in the global scope: ``build.py FOLDER`` makes ``FOLDER/python``."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

_HERE = Path(__file__).resolve().parent


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    shims = folder / "shims"
    shims.mkdir(parents=True, exist_ok=True)
    libpython = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))
    startup = (_HERE / "startup.py").read_text()
    startup = startup.replace("@SHIMS@", str(shims)).replace("@LIBPYTHON@", str(libpython))
    (folder / "sitecustomize.py").write_text(startup)
    names = {"LIBPYTHON": libpython, "PYTHON": sys.executable, "STARTUP": folder}
    defined = [f'-D{name}="{path}"' for name, path in names.items()]
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1"]
    subprocess.run(["cc", *strict, *defined, _HERE / "launcher.c", "-o", folder / "python", "-ldl"], check=True)


if __name__ == "__main__":
    main()
