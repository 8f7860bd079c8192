"""Chooses what a self-contained library brings: modules, extension modules, libraries and data files."""
