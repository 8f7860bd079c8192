"""Configures pytest for the tests of the SDK and of the plugins."""

import os
import signal

# As root, each start of a library checks who can write to the environment: 35,000 files if all development tools are
# installed. A checkout may also belong to another user. The tests in tests/security remove this variable.
os.environ.setdefault("FALCO_PLUGIN_ALLOW_WRITABLE", "1")

# A shell ignores these signals in its background jobs, and programs that the tests start would inherit that.
_HANDLERS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
for _number, _handler in _HANDLERS.items():
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names the case of gzip data by its argument: the data has the time, and all workers need the same names."""
    return argname if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None
