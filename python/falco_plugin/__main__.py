"""``python -m falco_plugin`` is the command ``falco-plugin``."""

from falco_plugin.cli.main import main

main(prog_name="falco-plugin")
