"""Which version of the plugin this is: the soak builds several that differ in this file alone."""

VERSION = "a"
