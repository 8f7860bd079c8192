"""Runs ``falco-plugin`` in forked children, which saves each run the import of the package.

Each line of stdin is a JSON object with the arguments, the environment variables, the working directory, and the files
for stdout and stderr. The answer is a line with the exit status.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from falco_plugin.cli.main import main


def run(request: dict[str, Any]) -> int:
    """Runs the command in this process, and returns its exit status."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(request["stdout"], os.O_WRONLY), 1)
    os.dup2(os.open(request["stderr"], os.O_WRONLY), 2)
    sys.argv = ["falco-plugin", *request["arguments"]]
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int | None):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve() -> None:
    """Answers one request after the other, until stdin ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = run(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
