"""Describes the interpreter and the packages of a library, and computes with them."""

from __future__ import annotations

import asyncio
import ctypes
import datetime
import decimal
import hashlib
import json
import sqlite3
import ssl
import sys
import threading
import zoneinfo
from collections.abc import Iterator

import numpy as np
import packaging

from falco_plugin import Plugin

MARK = "@MARK@"


class Described(Plugin):
    """The interpreter and the packages of this library"""

    name = "described_@MARK@"
    id = 1_734_560_091
    event_source = "described"

    def open(self, params: str) -> Iterator[bytes]:
        """Delivers a description as JSON, and then results of numpy."""
        sys.modules["mark_of_this_interpreter"] = type(sys)(MARK)
        description = {
            "python": ".".join(map(str, sys.version_info[:2])),
            "numpy": np.__version__,
            "packaging": packaging.__version__,
            "api": ctypes.pythonapi.Py_GetVersion is not None,
            "ssl": ssl.OPENSSL_VERSION.split()[0],
            "sql": sqlite3.connect(":memory:").execute("select 6 * 7").fetchone(),
            "async": asyncio.run(asyncio.sleep(0, "done")),
            "decimal": str(decimal.Decimal(1) / 3)[:6],
            "digest": hashlib.sha256(b"").hexdigest()[:8],
            "zone": datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("UTC")).isoformat(),
            "threads": [thread.name for thread in threading.enumerate()],
        }
        yield json.dumps(description).encode()
        for size in range(2, 40):
            matrix = np.arange(float(size * size)).reshape(size, size) + size * np.eye(size)
            solved = np.linalg.solve(matrix, np.ones(size))
            yield json.dumps({"size": size, "close": bool(np.allclose(matrix @ solved, 1))}).encode()
        yield json.dumps({"mark": sys.modules["mark_of_this_interpreter"].__name__}).encode()
