"""Writes OCI image layouts that falcoctl and the Falco Operator install."""
