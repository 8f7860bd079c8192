"""The page of all messages is what the code says, and leaves no file with messages out."""

from __future__ import annotations

import re
from pathlib import Path

import messages
import pytest

SAYS = re.compile(r"^\s*raise \w+\(\s*f?\"|Error::text\(|new_err\(|\bplugin_error\(py,|problem\.push", re.MULTILINE)
# What the SDK says of itself alone, where its own build is wrong.
OWN = {messages.ROOT / messages.PACKAGE / "_build" / "library.py"}
FILES = [
    path
    for folder in (messages.PACKAGE, "rust/engine/src", "rust/abi/src", "rust/python/src", "rust/stub")
    for path in messages.files(folder)
    if path not in OWN
]


def test_the_page_is_what_the_code_says() -> None:
    assert messages.PAGE.read_text() == messages.page(), "run 'make pages'"


SHOWN = {path for _, _, places in messages.SECTIONS for place in places for path in messages.files(place)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(messages.ROOT).as_posix())
def test_no_file_with_messages_is_left_out(path: Path) -> None:
    assert path in SHOWN or not SAYS.search(path.read_text())


def test_what_is_left_out_is_still_said() -> None:
    assert {text for path in SHOWN for text in messages.texts(path)} >= messages.PARTS


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('raise ValueError(f"the {name} is wrong: leave it out")', ["the … is wrong: leave it out"]),
        ('log.error("field %s is absent", name)', ["field … is absent"]),
        ('"""The docs say this."""\nx: "an odd thing" = 1\nf(help="the other one")', []),
    ],
)
def test_the_texts_of_a_module_are_read(source: str, expected: list[str]) -> None:
    assert [messages.tidy(text) for text in messages.of_python(source)] == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r'Error::text(format!("a \"{name}\" is {{wrong}}"))', ['a "…" is {wrong}']),
        ('#[error("no more, not {0}")] struct A; // "said in a comment"', ["no more, not …"]),
        ('let c = \'"\'; x.expect("it is there"); y("an \'odd\' thing")', ["an 'odd' thing"]),
        ('"two \\\n    lines"\n#[cfg(test)] mod tests { "in a test" }', ["two lines"]),
        ('problem.push("cannot load ");\n problem.push_c(path);\n problem.push(": go");', ["cannot load …: go"]),
    ],
)
def test_the_texts_of_a_rust_file_are_read(source: str, expected: list[str]) -> None:
    assert [messages.tidy(text) for text in messages.of_rust(source)] == expected
