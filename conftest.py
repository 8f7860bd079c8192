"""Configures pytest for the tests of the SDK and of the plugins."""

import os

# As root, each start of a library checks who can write to the environment. With all development tools installed these
# are 35,000 files, and a checkout may belong to another user. The tests in tests/security remove this variable.
os.environ.setdefault("FALCO_PLUGIN_ALLOW_WRITABLE", "1")
