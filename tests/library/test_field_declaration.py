"""Ways to declare fields, checked in built libraries."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from support.field_plugins import extract_values
from support.fields import replay
from support.hosts import static_answers
from support.libraries import KIND, build_plugin, write_sources

from falco_plugin.cli.main import main


def test_field_accepts_decorator_of_other_module(tmp_path: Path) -> None:
    files = {
        "safe.py": """
            import functools


            def safe(function):
                @functools.wraps(function)
                def call(self, event):
                    return function(self, event)

                return call
        """,
        "__init__.py": """
            from __future__ import annotations

            from datetime import timedelta as span

            from falco_plugin import Plugin, field

            from .safe import safe


            class Wrapped(Plugin):
                name = "wrapped"
                Text = str

                @safe
                @field("wrapped.time", desc="Its annotation is a name of this module")
                def time(self, event) -> span | None:
                    return span(seconds=1)

                @field("wrapped.text", desc="Its annotation is a name of the class")
                def text(self, event) -> Text:
                    return "text"
        """,
    }
    assert extract_values(build_plugin(tmp_path, files), "wrapped.time", "wrapped.text") == [[10**9], ["text"]]


def test_annotations_may_be_strings(tmp_path: Path) -> None:
    source = """
        from __future__ import annotations

        from datetime import datetime
        from typing import TYPE_CHECKING

        from falco_plugin import Located, Plugin, field

        if TYPE_CHECKING:
            from falco_plugin import Event
            from nowhere import Other


        class Future(Plugin):
            name = "future"

            @field("future.index", desc="The index and the payload")
            def index(self, event: Event, index: int | None = None) -> list[Located[str]] | None:
                note: Other = event.text
                return [Located(f"{index} {note}", 0, 1)]

            @field("future.time", desc="Its annotation is imported at run time")
            def time(self, event: Event) -> datetime | None:
                return None
    """
    library = build_plugin(tmp_path, source)
    assert extract_values(library, "future.index[3]", "future.index", "future.time", payload=b"x") == [
        ["3 x"],
        ["None x"],
        None,
    ]


def test_fields_are_inherited_overridden_and_removed(tmp_path: Path) -> None:
    files = {
        "base.py": """
            from falco_plugin import Plugin, field, json_field


            class Common:
                @field("common.mixed", desc="Declared in a class that is not a plugin")
                def mixed(self, event) -> str:
                    return f"{self.name} {self.word(event)}"


            class Base(Plugin):
                name = "base"
                json = json_field("base.json", "/a", desc="Inherited without a change")

                @field("base.word", desc="In the base")
                def word(self, event) -> str:
                    return "base"

                @field("base.gone", desc="Removed in the derived class")
                def gone(self, event) -> str:
                    return "base"

                @field("base.renamed", desc="Gets another name and type in the derived class")
                def renamed(self, event) -> str:
                    return "base"

                @field("base.kept", desc="Gets another method in the derived class")
                def kept(self, event) -> str:
                    return "base"
        """,
        "__init__.py": """
            from falco_plugin import field, json_field

            from .base import Base, Common


            class Derived(Common, Base):
                name = "derived"
                gone = None

                def kept(self, event, index: int | None = None) -> list[str]:
                    return ["derived"]

                more = json_field("derived.more", "/b", desc="Added in the derived class")

                @field("base.word", desc="In the derived class")
                def word(self, event) -> str:
                    return f"derived from {super().word(event)}"

                @field("derived.renamed", desc="Renamed")
                def renamed(self, event) -> list[int]:
                    return [1, 2]
        """,
    }
    library = build_plugin(tmp_path, files)
    fields = ["base.json", "base.word", "derived.renamed", "base.kept", "common.mixed", "derived.more"]
    assert [field["name"] for field in static_answers(library)["fields"]] == fields
    assert static_answers(library)["fields"][1]["desc"] == "In the derived class"
    assert extract_values(library, *fields) == [
        ["of JSON"],
        ["derived from base"],
        [1, 2],
        ["derived"],
        ["derived derived from base"],
        None,
    ]


def test_factory_may_return_other_class(tmp_path: Path) -> None:
    source = """
        from falco_plugin import field, json_field, source


        class Standalone:
            name = event_source = "standalone"
            version, id, description, contact = "1.2.3", 999, "Standalone", ""

            def __init__(self, word):
                self.word = word

            def open(self, params):
                return [b"{}"]

            a = json_field("standalone.a", "/a", desc="Read from JSON")

            @field("standalone.word", desc="Read from the object")
            def of_object(self, event) -> str:
                return f"{self.word} {self.a(event)}"


        def make():
            standalone = Standalone("word")
            source.register(standalone)
            return standalone
    """
    target = write_sources(tmp_path, {"standalone.py": source}) / "standalone.py"
    library = tmp_path / "standalone.so"
    built = CliRunner().invoke(main, ["build", *KIND, f"{target}:make", "-o", str(library)])
    assert built.exit_code == 0, built.output
    assert extract_values(library, "standalone.a", "standalone.word") == [["of JSON"], ["word of JSON"]]


def test_field_uses_configuration_and_state_of_init(build_fields) -> None:
    library = build_fields("""
        def init(self):
            self.words = self.config.split()

        @field("config.words", desc="Read from the configuration")
        def of_config(self, event) -> list[str]:
            return self.words
    """)
    (extracted,) = replay(library, ["config.words"], [b""], config="one two")
    assert extracted["config.words"].values == ["one", "two"]


def test_index_and_key_are_keyword_arguments(build_fields) -> None:
    library = build_fields("""
        @field("order.turned", desc="Takes the key first")
        def turned(self, event, key: str | None = None, index: int | None = None) -> str:
            return f"{index!r} {key!r}"

        @field("order.named", desc="Takes keyword arguments only")
        def named(self, event, *, key: str | None, index: int | None) -> str:
            return f"{index!r} {key!r}"

        @field("order.one", desc="Takes keyword arguments only")
        def one(self, event, *, index: int | None = None) -> str:
            return f"{index!r}"

        @field("order.bare", desc="Without annotations")
        def bare(self, _event, /, index, key=None) -> str:
            return f"{index!r} {key!r}"
    """)
    fields = ["order.turned", "order.turned[3]", "order.turned[a]", "order.named[3]", "order.named[a]"]
    fields += ["order.one", "order.one[0]", "order.bare[7]", "order.bare[b]"]
    assert extract_values(library, *fields) == [
        ["None None"],
        ["3 '3'"],
        ["None 'a'"],
        ["3 '3'"],
        ["None 'a'"],
        ["None"],
        ["0"],
        ["7 '7'"],
        ["None 'b'"],
    ]
