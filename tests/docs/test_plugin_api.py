"""Compares the page of the plugin API's functions with the list in Rust."""

from __future__ import annotations

import re

from support.paths import REPOSITORY


def test_page_has_each_function_of_list_once() -> None:
    listed = re.findall(r'"(plugin_\w+)"\s+\w+\(', (REPOSITORY / "rust/api/src/list.rs").read_text())
    described = re.findall(
        r"^\| `(plugin_\w+)` \|", (REPOSITORY / "docs/reference/plugin-api.md").read_text(), re.MULTILINE
    )
    assert len(listed) > 30
    assert sorted(described) == sorted(set(listed))
