"""The page of all messages, out of the code that says them: ``python tests/docs/messages.py`` writes it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "api" / "messages.md"
PACKAGE = "python/falco_plugin"

INTRODUCTION = """\
# Messages

<!-- Written by `make pages` out of the code. -->

What the SDK says where something is wrong, by where it is met. `…` stands for what depends on the case. A message
begins with its cause, and what to do stands behind a colon. Where your code is the place, its file and line follow in
brackets.
"""

# Title, where it is met, and the files whose messages they are.
SECTIONS = (
    (
        "The class of a plugin",
        "Met by `falco-plugin build` and the tests, before there is a library.",
        [f"{PACKAGE}/_declare/capabilities.py", f"{PACKAGE}/_declare/methods.py"],
    ),
    (
        "Fields: their declaration",
        "Met where the class is defined or built.",
        [
            f"{PACKAGE}/fields.py",
            f"{PACKAGE}/_declare/fields.py",
            f"{PACKAGE}/_declare/field_methods.py",
            f"{PACKAGE}/_declare/types.py",
            "rust/engine/src/json/pointer.rs",
        ],
    ),
    (
        "Fields: their values",
        "In the log, once for each cause, and the field is absent. Raised where your code calls a field itself.",
        [
            f"{PACKAGE}/_runtime/repeated_failures.py",
            "rust/python/src/fields/mod.rs",
            "rust/python/src/event/reader.rs",
            "rust/python/src/convert/json.rs",
            "rust/engine/src/json/fault.rs",
            "rust/engine/src/extract/problem.rs",
            "rust/engine/src/extract/diagnosis.rs",
        ],
    ),
    (
        "Configuration",
        "Of the class: met where it is built. Of `init_config`: the error of `init`, with the path of each value.",
        [f"{PACKAGE}/_declare/config/{name}.py" for name in ("declaration", "description", "parser")],
    ),
    (
        "The command",
        "On stderr, behind `falco-plugin:`.",
        [f"{PACKAGE}/{name}.py" for name in ("_target", "_template", "_environment", "cli/main")],
    ),
    (
        "Loading a library",
        "The error of `init`: Falco does not start, or keeps what it runs.",
        [
            "rust/stub/stub.rs",
            "rust/stub/permissions.rs",
            "rust/abi/src/request.rs",
            "rust/python/src/start.rs",
            "rust/python/src/interpreter/threads.rs",
            f"{PACKAGE}/_runtime/runtime.py",
            f"{PACKAGE}/_runtime/loader.py",
            f"{PACKAGE}/_runtime/archive.py",
        ],
    ),
    (
        "Instances and their options",
        "Raised where your code makes the instance, and so mostly the error of `open`.",
        [
            f"{PACKAGE}/_runtime/instances.py",
            f"{PACKAGE}/source.py",
            f"{PACKAGE}/_runtime/producer.py",
            f"{PACKAGE}/_runtime/async_producer.py",
            "rust/python/src/convert/options.rs",
            "rust/python/src/convert/timestamp.rs",
            "rust/python/src/source/driver.rs",
            "rust/python/src/source/left_out.rs",
            "rust/python/src/source/context.rs",
            "rust/python/src/source/iter.rs",
            "rust/python/src/source/push.rs",
            "rust/python/src/source/pull.rs",
            "rust/engine/src/source/push.rs",
            "rust/engine/src/source/pull.rs",
            "rust/engine/src/source/context.rs",
        ],
    ),
    (
        "Events, batches and channels",
        "Raised at the call; where the exception leaves your code, it ends the source and is its error.",
        [
            f"{PACKAGE}/errors.py",
            "rust/engine/src/error.rs",
            "rust/engine/src/event/mod.rs",
            "rust/engine/src/event/batch.rs",
            "rust/engine/src/source/channel.rs",
            "rust/python/src/errors.rs",
            "rust/python/src/convert/buffers.rs",
            "rust/python/src/event/batch.rs",
            "rust/python/src/source/channel.rs",
            "rust/python/src/interpreter/fast.rs",
        ],
    ),
    (
        "Lines",
        "The error of the source, or a warning in the log.",
        ["rust/engine/src/source/lines", "rust/python/src/source/lines.rs"],
    ),
    (
        "Your exceptions, and the log",
        "What is put around a text of your own.",
        [
            f"{PACKAGE}/_runtime/failures.py",
            f"{PACKAGE}/_runtime/skipped_items.py",
            f"{PACKAGE}/_runtime/remedies.py",
            f"{PACKAGE}/_runtime/log.py",
            "rust/python/src/interpreter/log.rs",
            "rust/python/src/plugin.rs",
        ],
    ),
    (
        "The host",
        "What a host other than Falco does wrong; please report it where it is Falco.",
        ["rust/abi/src/functions.rs", "rust/abi/src/capability/extract.rs", "rust/abi/src/fork.rs"],
    ),
    (
        "Running a library",
        "On stderr, behind `falco-plugin-host:`. Of a library of any SDK: what Falco would refuse, and where it breaks "
        "the plugin API.",
        [
            f"rust/host/src/{name}.rs"
            for name in (
                "command/arguments",
                "command/error",
                "describe/description",
                "describe/field",
                "config/check",
                "config/validation",
                "config/rules",
                "command/setup",
                "select/request",
                "select/column",
                "abi/event",
                "abi/values",
                "abi/library",
                "abi/source",
                "command/run",
                "output/payload",
            )
        ],
    ),
    (
        "Testing",
        "Raised by `falco_plugin.testing`.",
        [f"{PACKAGE}/testing"],
    ),
)

# What is put into other messages, and texts that nobody is told.
PARTS = {
    "a source that was closed",
    "Lines of a file",
    "at least",
    "import sys; print(*sys.path, sep='\\n')",
    "event source …",
    "… for every source",
    "Rules on its … need:",
    "Rules on its fields say the source of the events, such as:",
    "…: its key",
    "its key: …",
    "after the timeout",
    "the source",
    "an element is",
    "bools of 4 bytes",
    "config schema",
    "from falco_plugin._build import environment; environment.print_location()",
    "import sys; from importlib.util import find_spec; print(*(n for n in sys.argv[1:] if not find_spec(n)))",
    "in use elsewhere",
    "index or key",
    "it returned",
    "keyword options of Python",
    "list of extract event sources",
    "list of fields",
    "no message",
    "numbers of 8 bytes",
    "older than 3.11",
    "the datetime of a field",
    "the method is not installed",
    "the pointer …",
    "the timedelta of a field",
    "the tuple",
    "unknown error",
    "…, or a list of one of them",
}

_RUST = re.compile(
    r"""//[^\n]* | b?'(?:\\[^']*|[^\\'])' | r\#+".*?"\#+ | (?P<before>\.?\w*!?\(?\s*)"(?P<text>(?:[^"\\]|\\.)*)" """,
    re.VERBOSE | re.DOTALL,
)
_PUSHED = re.compile(r"\w*problem\.push(?:_\w+)?\((.*?)\);\s*", re.DOTALL)
_WORD = re.compile(r"['(]*[a-z'-]{2,}[,:;.)']*")


def page() -> str:
    """The page as it has to be."""
    parts = [INTRODUCTION]
    for title, text, places in SECTIONS:
        parts.append(f"\n## {title}\n\n{text}\n\n")
        said = dict.fromkeys(text for place in places for path in files(place) for text in messages(path))
        parts += [f"- {_escaped(text)}\n" for text in said]
    return "".join(parts)


def files(place: str) -> list[Path]:
    """The files of a place: itself, or all below a folder."""
    path = ROOT / place
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix in (".py", ".rs") and file.name != "tests.rs")


def messages(path: Path) -> list[str]:
    """What a file says, each once, in its order."""
    return [text for text in texts(path) if text not in PARTS]


def texts(path: Path) -> list[str]:
    """The messages of a file and their parts."""
    found = of_python(path.read_text()) if path.suffix == ".py" else of_rust(path.read_text())
    return list(dict.fromkeys(text for text in map(tidy, found) if _is_sentence(text)))


def of_python(source: str) -> Iterator[str]:
    """The texts of a module but for docstrings, annotations, the command's help and what it prints."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    nodes = sorted(
        (node for node in parents if _text(node) is not None), key=lambda node: (node.lineno, node.col_offset)
    )
    for node in nodes:
        parent = parents[node]
        if isinstance(parent, ast.Expr | ast.JoinedStr | ast.FormattedValue | ast.AnnAssign | ast.BinOp):
            continue
        if isinstance(parent, ast.keyword) and parent.arg in ("help", "metavar"):
            continue
        if isinstance(parent, ast.Call) and ast.unparse(parent.func) == "click.echo":
            continue
        yield _text(node) or ""


def _text(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) or "…" for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right) if _text(left) or _text(right):
            return (_text(left) or "…") + (_text(right) or "…")
    return None


def of_rust(source: str) -> Iterator[str]:
    """The texts of a file up to its tests, but for those of what cannot happen. The library in front pushes a text in
    parts.
    """
    source = source.split("#[cfg(test)]", maxsplit=1)[0]
    for run in re.finditer(rf"(?:{_PUSHED.pattern})+", source, re.DOTALL):
        parts = _PUSHED.findall(run[0])
        yield "".join(part.strip('"') if part.startswith('"') else "…" for part in parts)
    for found in _RUST.finditer(_PUSHED.sub("", source)):
        if found["text"] is not None and not re.match(r"\.expect|debug_assert|unreachable", found["before"]):
            text = re.sub(r"\\\n\s*", "", found["text"]).replace('\\"', '"')
            yield re.sub(r"(?<!\{)\{[^{}]*\}(?!\})", "…", text).replace("{{", "{").replace("}}", "}")


def tidy(text: str) -> str:
    """A text with one mark for each thing that depends on the case."""
    text = re.sub(r"%[sdr]", "…", text)
    text = re.sub("…[… ]*…", "…", text)
    return f"…{text}" if text.startswith((" ", ":", ";")) else text


def _is_sentence(text: str) -> bool:
    return "\n" not in text and text == text.rstrip() and sum(bool(_WORD.fullmatch(word)) for word in text.split()) > 1


def _escaped(text: str) -> str:
    for char in "\\`*_<[":
        text = text.replace(char, f"\\{char}")
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
