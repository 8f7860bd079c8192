"""The command ``falco-plugin``."""
