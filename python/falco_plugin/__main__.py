"""``python -m falco_plugin`` is the command ``falco-plugin``."""

import sys

if not sys.flags.safe_path:
    # "-m" puts the working directory in front, where a plugin's modules could be found that are not packed.
    del sys.path[0]

from falco_plugin.cli.main import main

main(prog_name="falco-plugin")
