"""A generator that saves its cursor after each barrier, and counts objects of the interpreter."""

from __future__ import annotations

import gc
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from falco_plugin import Context, OpenParam, Plugin


class Generator(Plugin):
    """Numbers of a generator"""

    name = event_source = "reloaded_generator"
    id = 1073741901

    def open(self, params: str, context: Context) -> Iterator[bytes | None]:
        cursor = Path(params)
        number = int(cursor.read_text()) if cursor.exists() else 0
        while not context.wait(0.001):
            for _ in range(20):
                yield b"0 %d" % number
                number += 1
            yield None
            cursor.write_text(str(number))

    def list_open_params(self) -> list[OpenParam]:
        """Returns the counts that must not grow. It does not collect garbage, because the test includes the SDK's
        own collection."""
        counts = {
            "objects": len(gc.get_objects()),
            "blocks": sys.getallocatedblocks(),
            "modules": len(sys.modules),
            "python_threads": threading.active_count(),
        }
        return [OpenParam(json.dumps(counts), "counts of the interpreter")]
