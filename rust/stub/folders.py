"""Tells the folders that this Python would import from, with nothing run that lies in them: for `python -I -S -c`."""

import os
import site
import sys

# What is left of `venv` finds the prefixes of packages, and runs no `.pth` file.
site.addsitepackages = lambda *_, **__: None
site.venv(set())
packages = site.getsitepackages()
folders = sys.path + packages
for folder in filter(os.path.isdir, packages):
    for name in os.listdir(folder):
        file = os.path.join(folder, name)
        # As `site.addpackage`, but for what is missing, which others could still make.
        if name.endswith(".pth") and os.path.isfile(file):
            with open(file, encoding="utf-8-sig", errors="surrogateescape") as lines:
                folders += [
                    os.path.join(folder, line.rstrip())
                    for line in lines
                    if line.strip() and not line.startswith(("#", "import ", "import\t"))
                ]
sys.stdout.buffer.write(b"".join(os.fsencode(folder) + b"\n" for folder in folders))
