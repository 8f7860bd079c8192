"""Typed configuration in a built library."""

from __future__ import annotations

import json
from pathlib import Path

from support.hosts import cycle_payloads, init_error, run_command, run_cycle, static_answers
from support.libraries import KIND, build_plugin, simple_plugin

SOURCES = {
    "config.py": """
        from __future__ import annotations

        from dataclasses import dataclass
        from typing import Annotated

        import msgspec


        class Limits(msgspec.Struct, frozen=True):
            most: Annotated[int, msgspec.Meta(ge=1, description="Events a second")] = 10


        @dataclass
        class Config:
            \"\"\"Where to listen\"\"\"

            url: str
            limits: Limits = Limits()
    """,
    "__init__.py": """
        from __future__ import annotations

        from typing import TYPE_CHECKING

        from falco_plugin import Plugin

        from .config import Config

        if TYPE_CHECKING:
            from somewhere import Other


        class Configured(Plugin):
            name = "configured"
            config: Config
            other: Other

            def init(self):
                self.seen = f"{self.config.url} {self.config.limits.most}"

            def open(self, params):
                return [self.seen.encode()]
    """,
}


def test_configuration_is_set_before_init(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, SOURCES)
    for config, seen in (('{"url": "a"}', b"a 10"), ('{"limits": {"most": 3}, "url": "b"}', b"b 3")):
        assert cycle_payloads(run_cycle(library, config)) == [seen]


def test_invalid_configuration_fails_in_init(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, SOURCES)
    assert init_error(library, '{"limits": {"most": 0}, "password": "secret"}') == (
        "init_config does not fit: url: required; limits.most: expected int >= 1; "
        "password: unknown key (known: url, limits)"
    )
    assert init_error(library, "secret") == (
        "init_config must be a map, but it is not valid JSON: invalid character (byte 0)"
    )


def test_library_exports_schema_only_with_class(tmp_path: Path) -> None:
    schema = json.loads(static_answers(build_plugin(tmp_path, SOURCES))["schema"])
    assert schema["required"] == ["url"]
    assert schema["description"] == "Where to listen"
    assert schema["definitions"]["Limits"]["properties"]["most"] == {
        "description": "Events a second",
        "type": "integer",
        "minimum": 1,
        "default": 10,
    }
    text = build_plugin(tmp_path, simple_plugin("text", "config: str\n"), "text")
    assert static_answers(text)["schema"] is None
    assert cycle_payloads(run_cycle(text, '{"any": "text"}')) == [b"one", b"two"]


def test_build_rejects_unsupported_configuration_class(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(simple_plugin("wrong", "config: int\n"))
    ran = run_command("build", *KIND, path, "-o", tmp_path / "wrong.so")
    assert (ran.status, ran.stderr) == (
        1,
        f"falco-plugin: {path}:4: Simple.config must be annotated with str, a dataclass or a msgspec.Struct, not int\n",
    )
