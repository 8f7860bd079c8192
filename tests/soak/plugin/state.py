"""Counts objects, memory blocks, modules and thread states of the interpreter."""

from __future__ import annotations

import ctypes
import gc
import sys


def measure() -> dict[str, int]:
    """Collects garbage, and returns the counts that must not grow."""
    gc.collect()
    return {
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "modules": len(sys.modules),
        "states": _thread_states(),
    }


def _thread_states() -> int:
    """Returns the number of thread states. The C API has no function for it, so walk their linked list."""
    api = ctypes.pythonapi
    head, following = api.PyInterpreterState_ThreadHead, api.PyThreadState_Next
    interpreter = api.PyInterpreterState_Get
    for function in (head, following, interpreter):
        function.restype = ctypes.c_void_p
        function.argtypes = [] if function is interpreter else [ctypes.c_void_p]
    interval = sys.getswitchinterval()
    # Prevent a switch to another thread: it could end and free its state, which the walk may be using.
    sys.setswitchinterval(60)
    try:
        count, state = 0, head(interpreter())
        while state:
            count, state = count + 1, following(state)
        return count
    finally:
        sys.setswitchinterval(interval)
