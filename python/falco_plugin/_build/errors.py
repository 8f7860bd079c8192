"""The error of a target that cannot be built."""

from __future__ import annotations


class TargetError(Exception):
    """A target cannot be built. The message is one line. ``__cause__`` is the exception of user code, if any."""
