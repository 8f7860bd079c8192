"""Checks rules on the plugin :class:`support.checked.Shop`, without building it."""

from __future__ import annotations

import os
from pathlib import Path

from falco_plugin._declare.fields import declared_by
from falco_plugin._rules import fields, files, rules
from falco_plugin._rules.problems import RulesError
from support.checked import Shop

INFO = {
    "name": Shop.name,
    "version": Shop.version,
    "event_source": Shop.event_source,
    "extract_event_sources": [],
    "fields": [field.describe() for field in declared_by(Shop())],
}
"""The part of ``falco-plugin info --json`` that checks need."""


def check_rules(folder: Path, *texts: str | bytes) -> list[str]:
    """Returns the lines that ``falco-plugin check`` prints for rules files, named ``rules.yaml``, ``2.yaml`` …"""
    before = Path.cwd()
    os.chdir(folder)
    try:
        names = [f"{number}.yaml" if number > 1 else "rules.yaml" for number in range(1, len(texts) + 1)]
        for name, text in zip(names, texts, strict=True):
            Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return [str(problem) for problem in rules.check(list(map(files.read, names)), sources())]
    except RulesError as error:
        return [str(error)]
    finally:
        os.chdir(before)


def sources() -> fields.Sources:
    return fields.Sources([fields.Plugin.of(INFO)])
