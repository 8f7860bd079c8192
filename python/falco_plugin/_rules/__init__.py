"""Falco's rule files and conditions, read and checked without a Falco."""
