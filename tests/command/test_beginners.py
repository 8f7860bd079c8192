"""Mistakes of new users in a plugin file, and the message that the command prints for each."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from support.hosts import run_command

from falco_plugin._runtime import gil

HEADER = """\
import json, time
from dataclasses import dataclass
from falco_plugin import Event, Plugin, field, json_field, source

"""
CLASS = len(HEADER.splitlines()) + 1
"""The line number of the class."""
BODY = CLASS + 2
"""The line number at which the body of the class begins, after the name."""
MAX_ERROR_BYTES = 255
"""The number of bytes that Falco shows of an error of `open` or `next_batch`."""


def plugin(body: str, head: str = "class Mine(Plugin):", names: str = 'name = event_source = "mine"') -> str:
    """Returns the code of a plugin whose class is on the line CLASS and whose body begins on the line BODY."""
    return f"{HEADER}{head}\n    {names}\n{textwrap.indent(textwrap.dedent(body).lstrip(), '    ')}"


def run(folder: Path, source: str, *options: str) -> str:
    """Runs the plugin and returns what it prints to stderr."""
    (folder / "plugin.py").write_text(source)
    return run_command("run", "plugin.py", "--limit", "20", *options, cwd=folder).stderr


def last_line(printed: str) -> str:
    return printed.splitlines()[-1]


OPENS = "def open(self, params) or def open(self, params, context)"
VALID_OPEN = "def open(self, params):\n    yield b'event'\n"

BUILD_ERRORS = {
    "open without self": (
        plugin("def open(params):\n    yield b''"),
        f"plugin.py:{BODY}: Mine.open(params) lacks self: define it as {OPENS}",
    ),
    "init without self": (
        plugin("def init():\n    pass\n" + VALID_OPEN),
        f"plugin.py:{BODY}: Mine.init() lacks self: define it as def init(self)",
    ),
    "event_to_string without self": (
        plugin("def event_to_string(event):\n    return 'x'\n" + VALID_OPEN),
        f"plugin.py:{BODY}: Mine.event_to_string(event) lacks self: define it as def event_to_string(self, event)",
    ),
    "open without params": (
        plugin("def open(self):\n    yield b''"),
        f"plugin.py:{BODY}: Mine.open(self) lacks params: define it as {OPENS}",
    ),
    "open with the context first": (
        plugin("def open(self, context, params):\n    yield b''"),
        f"plugin.py:{BODY}: Mine.open(self, context, params) takes the context before the open params: "
        f"define it as {OPENS}",
    ),
    "open with too many parameters": (
        plugin("def open(self, params, context, config):\n    yield b''"),
        f"plugin.py:{BODY}: Mine.open(self, params, context, config) has too many parameters: define it as {OPENS}",
    ),
    "open with a required keyword": (
        plugin("def open(self, params, *, url):\n    yield b''"),
        f"plugin.py:{BODY}: Mine.open requires the keyword argument 'url', which Falco does not pass: define it as "
        f"{OPENS}",
    ),
    "async open without a yield": (
        plugin("async def open(self, params):\n    return [b'']"),
        f"plugin.py:{BODY}: Mine.open is async without a yield, so it makes no events: yield them in it, or define it "
        "without async",
    ),
    "async init": (
        plugin("async def init(self):\n    pass\n" + VALID_OPEN),
        f"plugin.py:{BODY}: Mine.init is async, but nothing awaits it: define it without async",
    ),
    "init with a yield": (
        plugin("def init(self):\n    yield\n" + VALID_OPEN),
        f"plugin.py:{BODY}: Mine.init has a yield, so calling it does not run its code: remove the yield",
    ),
    "a syntax error": (
        plugin("def open(self, params)\n    yield b''"),
        f"plugin.py cannot be imported: SyntaxError: expected ':' (plugin.py:{BODY}: def open(self, params))",
    ),
    "wrong indentation": (
        plugin("def open(self, params):\n  yield b'a'\n    yield b'b'"),
        f"plugin.py cannot be imported: IndentationError: unexpected indent (plugin.py:{BODY + 2}: yield b'b')",
    ),
    "a field name with capitals": (
        plugin("user = json_field('Mine.User', '/user', desc='User')\n" + VALID_OPEN),
        f"plugin.py:{BODY}: field Mine.User: the first part of the name has capital letters, which no field of "
        "Falco has, and rules are case-sensitive: name it mine.User",
    ),
    "a field name without a dot": (
        plugin("user = json_field('user', '/user', desc='User')\n" + VALID_OPEN),
        f"plugin.py:{BODY}: field user: Falco does not accept this name: use parts of letters, digits and "
        "'_' that begin with a letter, joined by dots, such as shop.order.id",
    ),
    "a field method without an annotation": (
        plugin("@field('mine.user', desc='User')\ndef user(self, event):\n    return ''\n" + VALID_OPEN),
        f"plugin.py:{BODY + 1}: field mine.user: user has no return annotation: add one, as in def "
        "user(self, event) -> str",
    ),
    "a field method without self": (
        plugin("@field('mine.user', desc='User')\ndef user(event) -> str:\n    return ''\n" + VALID_OPEN),
        f"plugin.py:{BODY + 1}: field mine.user: user must take the event: def user(self, event) -> …",
    ),
    "no name": (
        plugin(VALID_OPEN, names="pass"),
        f"plugin.py:{CLASS}: Mine has no name: set it, such as name = 'lines'",
    ),
    "a name that Falco refuses": (
        plugin(VALID_OPEN, names="name = 'My Plugin'"),
        f"plugin.py:{CLASS}: Mine: Falco does not accept the name 'My Plugin': use lower-case letters, "
        "digits, '-' and '_', "
        "beginning with a letter",
    ),
    "a class that is not derived": (
        plugin(VALID_OPEN, head="class Mine:"),
        f"plugin.py:{CLASS}: the class Mine is not a plugin: derive it, as in class Mine(Plugin)",
    ),
    "two plugins": (
        plugin(VALID_OPEN) + "\nclass Other(Mine):\n    name = 'other'\n",
        f"plugin.py has 2 plugins (Mine at plugin.py:{CLASS}, Other at plugin.py:{BODY + 3}): name one, such as "
        "plugin.py:Mine",
    ),
    "a plugin that needs arguments": (
        plugin("def __init__(self, url):\n    self.url = url\n" + VALID_OPEN),
        "plugin.py: plugin:Mine failed: TypeError: Mine.__init__() missing 1 required positional "
        "argument: 'url': the "
        f"SDK passes no arguments, so read settings from self.config in init (plugin.py:{BODY} in __init__)",
    ),
    "a constructor that raises": (
        plugin("def __init__(self):\n    int('x')\n" + VALID_OPEN),
        "plugin.py: plugin:Mine failed: ValueError: invalid literal for int() with base 10: 'x' "
        f"(plugin.py:{BODY + 1} in __init__)",
    ),
    "a configuration that is a value": (
        plugin("config = {'url': ''}\n" + VALID_OPEN),
        f"plugin.py:{CLASS}: Mine.config is set to a dict, which init_config replaces: annotate it, as "
        "in config: Config",
    ),
    "a misspelled name of the SDK": (
        "from falco_plugin import Plugins\n",
        "did you mean Plugin? (plugin.py:1 in <module>)",
    ),
    "a name of another module of the SDK": (
        "from falco_plugin import PullInstance\n",
        "write from falco_plugin.source import PullInstance (plugin.py:1 in <module>)",
    ),
    "a module that is missing": (
        "import requets\n",
        "or pack it by building the folder that it is in (plugin.py:1 in <module>)",
    ),
}


@pytest.mark.parametrize(("source", "expected"), BUILD_ERRORS.values(), ids=BUILD_ERRORS)
def test_build_reports_error_with_location(tmp_path: Path, source: str, expected: str) -> None:
    printed = last_line(run(tmp_path, source))
    assert printed.startswith("falco-plugin: plugin.py")
    assert printed.endswith(expected)


def returning(value: str) -> str:
    return plugin(f"def open(self, params, context):\n    return {value}\n\ndef events(self):\n    yield b''")


def yielding(value: str) -> str:
    return plugin(f"def open(self, params):\n    yield {value}")


IN_OPEN = f" (plugin.py:{BODY} in open)"
AT_YIELD = f" (plugin.py:{BODY + 1} in open)"

OPEN_ERRORS = {
    "nothing": (plugin("def open(self, params):\n    pass"), "None: is a `return` or a `yield` missing?"),
    "str": (returning("'event'"), "str: for one event return [text.encode()]"),
    "bytes": (returning("b'event'"), "bytes: for one event return [data]"),
    "dict": (returning("{}"), "dict: for one event return [json.dumps(data).encode()]"),
    "int": (
        returning("5"),
        "int: return an iterable of events, such as a generator, or an instance of falco_plugin.source",
    ),
    "a class": (
        returning("source.PullInstance"),
        "the class PullInstance: return an object of it, such as PullInstance(…)",
    ),
    "itself": (returning("self"), "the plugin itself: return its events, or an instance of falco_plugin.source"),
    "a channel": (returning("source.channel()"), "tuple: return source.PushInstance(receiver, context=context)"),
    "a receiver": (returning("source.channel()[1]"), "Receiver: return source.PushInstance(receiver, context=context)"),
    "a text file": (
        returning("open(__import__('os').devnull)"),
        "a text file: events are bytes, so open it with mode 'rb'",
    ),
    "a closed file": (
        plugin("def open(self, params):\n    with open('/dev/null', 'rb') as file:\n        return file"),
        "a closed file: yield its lines within the with block, or open it without with",
    ),
}


@pytest.mark.parametrize(("source", "expected"), OPEN_ERRORS.values(), ids=OPEN_ERRORS)
def test_open_suggests_valid_return_values(tmp_path: Path, source: str, expected: str) -> None:
    printed = last_line(run(tmp_path, source))
    assert printed == f"falco-plugin-host: open failed: TypeError: open returned {expected}{IN_OPEN}"


NOT_BYTES = "TypeError: an event's data must be bytes, got"
EVENT_ERRORS = {
    "a dict": (yielding("{'a': 1}"), f"{NOT_BYTES} dict: give json.dumps(data).encode(){AT_YIELD}"),
    "a list": (yielding("[b'a']"), f"{NOT_BYTES} list: give json.dumps(data).encode(){AT_YIELD}"),
    "a str": (yielding("'text'"), f'{NOT_BYTES} str: give text.encode(), or write b"..."{AT_YIELD}'),
    "an int": (yielding("5"), f"{NOT_BYTES} int: give str(data).encode(){AT_YIELD}"),
    "an object": (yielding("self"), f"{NOT_BYTES} Mine: give bytes or another buffer{AT_YIELD}"),
    "a dict with a time": (yielding("({}, 5)"), f"{NOT_BYTES} dict: give json.dumps(data).encode(){AT_YIELD}"),
    "a dict in a list": (returning("[{}]"), f"{NOT_BYTES} dict: give json.dumps(data).encode(){IN_OPEN}"),
    "a dict that is sent": (
        plugin("def open(self, params):\n    source.channel()[0].send({})"),
        f"{NOT_BYTES} dict: give json.dumps(data).encode(){AT_YIELD}",
    ),
    "a method without the context": (
        returning("self.events"),
        "TypeError: Mine.events() must take the context as its only argument: define it with (context), or call it "
        f"(plugin.py:{BODY + 3} in events)",
    ),
    "a pull function without parameters": (
        returning("source.PullInstance(self.events)"),
        "TypeError: Mine.events() takes 1 positional argument but 3 were given: define it as "
        "events(self, context, writer) "
        f"(plugin.py:{BODY + 3} in events)",
    ),
    "a pull function that returns the event": (
        plugin(
            "def open(self, params):\n    return source.PullInstance(self.pull)\n\n"
            "def pull(self, context, writer):\n    return b''"
        ),
        "TypeError: the pull function returned bytes: write the event with writer.write(data) instead "
        f"(plugin.py:{BODY + 3} in pull)",
    ),
    "an instance without its base": (
        returning("CustomInstance()")
        + "\n\nclass CustomInstance(source.BaseInstance):\n    def __init__(self):\n        pass\n\n"
        "    def next_batch(self, batch):\n        pass\n",
        "TypeError: open returned CustomInstance, which has no attribute events: call super().__init__() in "
        f"CustomInstance.__init__ (plugin.py:{BODY + 7} in __init__)",
    ),
    "an instance without the batch": (
        returning("CustomInstance()")
        + "\n\nclass CustomInstance(source.BaseInstance):\n    def next_batch(self):\n        pass\n",
        "TypeError: CustomInstance.next_batch() takes 1 positional argument but 2 were given: define it as "
        "next_batch(self, batch) "
        f"(plugin.py:{BODY + 7} in next_batch)",
    ),
    "a configuration without a class": (
        plugin("def open(self, params):\n    yield self.config.url.encode()"),
        "AttributeError: 'str' object has no attribute 'url': self.config is the init_config as str: "
        "annotate it with a "
        f"dataclass, as in config: Config{AT_YIELD}",
    ),
    "a misspelled configuration key": (
        plugin("config: Config\n\ndef open(self, params):\n    yield self.config.uri.encode()").replace(
            "class Mine", "@dataclass\nclass Config:\n    url: str = ''\n\nclass Mine"
        ),
        f"AttributeError: 'Config' object has no attribute 'uri': did you mean url? (plugin.py:{BODY + 7} in open)",
    ),
}


@pytest.mark.parametrize(("source", "expected"), EVENT_ERRORS.values(), ids=EVENT_ERRORS)
def test_source_reports_error_with_location(tmp_path: Path, source: str, expected: str) -> None:
    printed = last_line(run(tmp_path, source))
    error = printed.partition(" failed: ")[2]
    assert error.removeprefix("open: ") == expected
    assert len(error.encode()) <= MAX_ERROR_BYTES


def test_long_error_message_keeps_location(tmp_path: Path) -> None:
    printed = last_line(run(tmp_path, plugin("def open(self, params):\n    raise ValueError('ä' * 1000)")))
    error = printed.partition("open failed: ")[2]
    assert error.startswith("ValueError: ää")
    assert error.endswith(f"ä…{AT_YIELD}")
    assert len(error.encode()) <= MAX_ERROR_BYTES


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "for _ in range(2):\n        yield print('event')",
            "[info] falco_plugin: the source ended without an event: it yielded only None, which is a barrier: "
            "yield bytes for an event",
        ),
        ("for line in ():\n        yield line", "[info] falco_plugin: the source ended without an event"),
        ("yield b''", None),
    ],
)
def test_run_reports_source_without_events(tmp_path: Path, body: str, expected: str | None) -> None:
    printed = run(tmp_path, plugin(f"def open(self, params):\n    {body}")).splitlines()
    assert [line for line in printed if "without an event" in line] == ([expected] if expected else [])


BLOCKS = """
import logging
import threading
from falco_plugin import Plugin
from falco_plugin._runtime import runtime

runtime.STILL_RUNNING_AFTER = 0.001
reported = threading.Event()


class Blocks(Plugin):
    name = event_source = "blocks"

    def init(self):
        handler = logging.Handler()
        handler.emit = lambda record: reported.set() if {awaited!r} in record.getMessage() else None
        logging.getLogger("falco_plugin").addHandler(handler)
        {init}

    def open(self, params):
        reported.clear()
        {open}
        return [b"event"]
"""


@pytest.mark.parametrize(
    ("method", "remedy"),
    [("init", "connect in open"), ("open", "wait for events in a generator or on a thread")],
)
def test_run_reports_line_of_blocking_method(tmp_path: Path, method: str, remedy: str) -> None:
    waits = {"init": "pass", "open": "pass", method: "reported.wait(60)"}
    # Without the GIL, the stack of another thread cannot be read.
    location = f"plugin.py:{{line}} in {method}" if gil.is_enabled() else ""
    # The first reports may come before the method has begun.
    source = BLOCKS.format(**waits, awaited=location.format(line="LINE") or "has not returned")
    line = next(number for number, text in enumerate(source.splitlines(), 1) if "reported.wait" in text)
    printed = run(tmp_path, source.replace("LINE", str(line)))
    where = f", at {location.format(line=line)}" if location else ""
    assert re.search(
        rf"^\[warning\] falco_plugin: {method} has not returned after [\d.]+ s{re.escape(where)}: Falco waits for its "
        f"return, so {remedy} instead$",
        printed,
        re.MULTILINE,
    )
