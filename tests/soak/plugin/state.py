"""What the interpreter holds, to be compared over time."""

from __future__ import annotations

import ctypes
import gc
import sys


def measure() -> dict[str, int]:
    """Counts what must not grow, after a collection."""
    gc.collect()
    return {
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "modules": len(sys.modules),
        "states": _thread_states(),
    }


def _thread_states() -> int:
    """The interpreter has a list of them, and no function that counts them."""
    api = ctypes.pythonapi
    head, following = api.PyInterpreterState_ThreadHead, api.PyThreadState_Next
    interpreter = api.PyInterpreterState_Get
    for function in (head, following, interpreter):
        function.restype = ctypes.c_void_p
        function.argtypes = [] if function is interpreter else [ctypes.c_void_p]
    interval = sys.getswitchinterval()
    # No other thread may end, and its state with it, in the middle of the list.
    sys.setswitchinterval(60)
    try:
        count, state = 0, head(interpreter())
        while state:
            count, state = count + 1, following(state)
        return count
    finally:
        sys.setswitchinterval(interval)
