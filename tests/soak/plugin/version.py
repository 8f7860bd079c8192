"""The version of the plugin. The soak builds several versions that differ only in this file."""

VERSION = "a"
