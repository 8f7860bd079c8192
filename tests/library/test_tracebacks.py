"""Tracebacks in the log show the user's files and lines, and begin with the cause."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from support.hosts import environment, run_cycle
from support.libraries import ARE_SELF_CONTAINED, build_plugin

PLUGIN = """\
from falco_plugin import Plugin, source
import threading


class Fails(Plugin):
    name = event_source = "fails"

    def open(self, params, context):
        yield b"event"
        self.fail()

"""
DEBUG = {"FALCO_PLUGIN_DEBUG": "1"}


def source_of(body: str) -> str:
    return PLUGIN + textwrap.indent(textwrap.dedent(body), "    ")


def logged_errors(folder: Path, body: str, env: dict[str, str] | None = None) -> list[list[str]]:
    """Builds the plugin in the folder, runs it, and returns the lines of each error in the log."""
    library = build_plugin(folder, source_of(body), "fails")
    # The first traceback imports modules, and the host must wait for the exception after it.
    ran = run_cycle(library, env=env or environment(HOST_TIMEOUTS="1000"))
    return [log["text"].splitlines() for log in ran.values("log") if log["severity"] <= 3]


SIMPLE = """
def fail(self):
    raise ValueError("no record")
"""
CHAIN = """
def fail(self):
    try:
        {}["record"]
    except KeyError as error:
        raise ValueError("no record") from error
"""
CONTEXT = """
def fail(self):
    try:
        {}["record"]
    except KeyError:
        raise ValueError("no record")
"""
HIDDEN = """
def fail(self):
    try:
        {}["record"]
    except KeyError:
        raise ValueError("no record") from None
"""


def frame(folder: Path, line: int, function: str, code: str) -> list[str]:
    if ARE_SELF_CONTAINED:  # which do not know the folder that they were built in
        folder = folder / "fails.so"
    return [f'    File "{folder}/fails.py", line {line}, in {function}', f"      {code}"]


@pytest.mark.parametrize(
    ("body", "line", "raises", "how"),
    [
        (SIMPLE, 14, 'raise ValueError("no record")', None),
        (CHAIN, 17, 'raise ValueError("no record") from error', "caused by"),
        (CONTEXT, 17, 'raise ValueError("no record")', "raised while handling"),
        (HIDDEN, 17, 'raise ValueError("no record") from None', None),
    ],
)
def test_traceback_has_cause_first_and_only_user_lines(
    tmp_path: Path, body: str, line: int, raises: str, how: str | None
) -> None:
    expected = [
        f"falco_plugin: next_batch failed: ValueError: no record (fails.py:{line} in fail)",
        "  Traceback (most recent call last):",
        *frame(tmp_path, 10, "open", "self.fail()"),
        *frame(tmp_path, line, "fail", raises),
    ]
    if how:
        expected += [
            f"  {how} KeyError: 'record' (fails.py:15 in fail)",
            "  Traceback (most recent call last):",
            *frame(tmp_path, 15, "fail", '{}["record"]'),
        ]
    (found,) = logged_errors(tmp_path, body)
    assert [text for text in found if set(text) - set(" ~^")] == expected


def test_debug_shows_lines_of_sdk(tmp_path: Path) -> None:
    (found,) = (lines for lines in logged_errors(tmp_path, SIMPLE, DEBUG) if "Traceback" in "".join(lines))
    assert any("/falco_plugin/_runtime/producer.py" in line for line in found)
    assert not any("/falco_plugin/" in line for lines in logged_errors(tmp_path, SIMPLE) for line in lines)


def test_traceback_lines_are_those_of_build(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, source_of(SIMPLE), "fails")
    secret = tmp_path / "secret"
    secret.write_text("password\n" * 100)
    (tmp_path / "fails.py").unlink()
    (tmp_path / "fails.py").symlink_to(secret)
    texts = [log["text"] for log in run_cycle(library).values("log")]
    assert any('raise ValueError("no record")' in text for text in texts)
    assert not any("password" in text for text in texts)


@pytest.mark.linked("self-contained libraries do not know the folder that they were built in")
def test_moved_library_names_its_source_files(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    built = build_plugin(source, source_of(SIMPLE), "fails")
    library = built.rename(target / built.name)
    texts = "\n".join(log["text"] for log in run_cycle(library).values("log"))
    assert f'File "{source}/fails.py", line 14, in fail' in texts
    assert str(target) not in texts


def test_group_shows_each_exception(tmp_path: Path) -> None:
    body = """
    def fail(self):
        raise ExceptionGroup("both", [ValueError("one"), KeyError("two")])
    """
    (found,) = logged_errors(tmp_path, body)
    assert "ExceptionGroup: both (2 sub-exceptions) (fails.py:14 in fail)" in found[0]
    assert [line for line in found if "exception " in line] == [
        "  exception 1 of 2: ValueError: one",
        "  exception 2 of 2: KeyError: 'two'",
    ]


def test_exception_notes_are_shown(tmp_path: Path) -> None:
    body = """
    def fail(self):
        error = ValueError("no record")
        error.add_note("in the file /var/log/a\\nof today")
        raise error
    """
    (found,) = logged_errors(tmp_path, body)
    assert found[-2:] == ["    in the file /var/log/a", "    of today"]


@pytest.mark.parametrize(
    ("body", "depth"),
    [
        ("def fail(self):\n    self.fail()\n", 20),
        (
            "def fail(self):\n    error = None\n    for _ in range(10_000):\n        following = ValueError('x')\n"
            "        following.__cause__ = error\n        error = following\n    raise error\n",
            60,
        ),
        (
            "def fail(self):\n    one, other = ValueError(1), ValueError(2)\n    one.__cause__ = other\n"
            "    other.__cause__ = one\n    raise one\n",
            20,
        ),
    ],
    ids=["deep recursion", "long chain of causes", "circle of causes"],
)
def test_traceback_is_bounded(tmp_path: Path, body: str, depth: int) -> None:
    (found,) = logged_errors(tmp_path, body)
    assert len(found) < depth


def test_exception_of_thread_and_source_has_one_traceback(tmp_path: Path) -> None:
    source = """
        import threading
        from falco_plugin import Plugin, source

        class Fails(Plugin):
            name = event_source = "fails"

            def open(self, params, context):
                sender, receiver = source.channel()

                def work():
                    with sender:
                        sender.send(b"event")
                        raise ValueError("no record")

                threading.Thread(target=work).start()
                return source.PushInstance(receiver, context=context)
    """
    library = build_plugin(tmp_path, textwrap.dedent(source), "fails")
    texts = [log["text"] for log in run_cycle(library).values("log") if "no record" in log["text"]]
    assert sum("Traceback" in text for text in texts) == 1


def test_logged_and_reraised_exception_has_one_traceback(tmp_path: Path) -> None:
    body = """
    def fail(self):
        try:
            raise ValueError("no record")
        except ValueError:
            self.log.exception("cannot read")
            raise
    """
    first, second = logged_errors(tmp_path, body)
    assert first[:2] == ["cannot read", "  ValueError: no record (fails.py:15 in fail)"]
    assert second == ["falco_plugin: next_batch failed: ValueError: no record (fails.py:15 in fail)"]


def test_repeated_failure_has_one_traceback(tmp_path: Path) -> None:
    source = """
        from falco_plugin import Plugin, source

        class Fails(Plugin):
            name = event_source = "fails"
            attempts = 0

            def open(self, params, context):
                return source.IterInstance(self.records, retry=0.001, context=context)

            def records(self, context):
                self.attempts += 1
                if self.attempts < 4:
                    raise ConnectionError("refused")
                yield b"event"
    """
    library = build_plugin(tmp_path, textwrap.dedent(source), "fails")
    ran = run_cycle(library, env=environment(HOST_TIMEOUTS="1000"))
    texts = [log["text"] for log in ran.values("log") if "refused" in log["text"]]
    assert [("Traceback" in text) for text in texts] == [True, False, False]
