"""``python -m falco_plugin`` runs the command ``falco-plugin``."""

import sys

if not sys.flags.safe_path:
    # With "-m", the current directory is first on the path. Modules in it would be found here, but are not packed.
    del sys.path[0]

from falco_plugin.cli.main import main

main(prog_name="falco-plugin")
