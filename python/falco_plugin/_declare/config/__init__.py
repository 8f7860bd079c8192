"""A plugin's configuration as an object: the class that it declares, its JSON schema, and ``init_config`` read into it.

Schema and reading both go by msgspec's rules, and are stricter in one: a key that the class does not have is an error,
since most often it is a misspelt one. Only ``declaration``, which every plugin needs, does without msgspec: to import
that takes half as long as all the rest of a start.
"""
