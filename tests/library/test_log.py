"""Log records, warnings, printed output and exceptions of threads in the host's log."""

from __future__ import annotations

import logging

import pytest
from support.embedded import Library
from support.hosts import (
    environment,
    log_messages,
    run_c_host,
    run_command,
    run_cycle,
)
from support.libraries import Build, simple_plugin


def test_log_lines_have_severity_without_prefix(build: Build) -> None:
    ran = run_cycle(
        build(
            simple_plugin(
                "logs",
                """
        def init(self):
            import logging
            self.log.critical("is critical")
            self.log.error("is error")
            self.log.warning("is warning")
            self.log.log(25, "is notice")
            self.log.info("is info")
            self.log.debug("is debug")
            self.log.log(5, "is trace")
            logging.getLogger("logs.part").info("by a child logger")
            logging.getLogger("somebody.else").warning("by another logger")
            logging.getLogger("somebody.else").debug("below the level")
            logging.getLogger(__name__).debug("by the module")
            logging.info("by the root logger")
            self.log.info("with %s and %d", "ärgs", 7)
    """,
            )
        )
    )
    found = {log["text"]: log["severity"] for log in ran.values("log")}
    expected = {"critical": 2, "error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
    assert {f"is {name}": severity for name, severity in expected.items()}.items() <= found.items()
    assert found["logs.part: by a child logger"] == 6
    assert found["somebody.else: by another logger"] == 4
    assert found["root: by the root logger"] == 6
    assert "somebody.else: below the level" not in found
    assert [severity for text, severity in found.items() if text.endswith("by the module")] == [7]
    assert found["with ärgs and 7"] == 6
    assert [log["component"] for log in ran.values("log")] == [None] * len(found)


def test_logged_exception_shows_traceback(build: Build) -> None:
    ran = run_cycle(
        build(
            simple_plugin(
                "logs",
                """
        def init(self):
            try:
                1 / 0
            except ZeroDivisionError:
                self.log.exception("cannot divide")
    """,
            )
        )
    )
    (message,) = [text for text in log_messages(ran, severity=3) if text.startswith("cannot divide\n")]
    assert message.splitlines()[1].startswith("  ZeroDivisionError: division by zero (plugin.py:")
    assert message.count("division by zero") == 1
    assert "1 / 0" in message


def test_warnings_reach_the_host(build: Build) -> None:
    ran = run_cycle(
        build(
            simple_plugin(
                "warns",
                """
        def init(self):
            import warnings
            warnings.warn("mind this")
    """,
            )
        )
    )
    assert any("UserWarning: mind this" in text for text in log_messages(ran, severity=4))


def test_printed_output_does_not_reach_stdout(build: Build) -> None:
    library = build(
        "print('while importing')\n"
        + simple_plugin(
            "prints",
            """
        def init(self):
            import os, sys
            print("in init")
            sys.stdout.write("written\\n")

        def event_to_string(self, event):
            print("in text")
            return event.text
    """,
        )
    )
    ran = run_cycle(library)
    # Each line of stdout is JSON of the host.
    assert ran.status == 0, ran.stderr
    assert len(ran.values("event")) == 2
    for text in ("while importing", "in init", "written", "in text"):
        assert text in ran.stderr
    shown = run_command("run", "--json", library)
    assert {line["kind"] for line in shown.lines} <= {"event", "log", "end"}


def test_exception_of_thread_is_logged(build: Build) -> None:
    ran = run_cycle(
        build(
            simple_plugin(
                "threads",
                """
        def init(self):
            import threading

            def work():
                raise ValueError("of a thread")

            for target in (work, lambda: exit(3)):
                thread = threading.Thread(target=target, name="worker")
                thread.start()
                thread.join()
    """,
            )
        )
    )
    (message,) = [text for text in log_messages(ran, severity=3) if "died" in text]
    assert message.startswith("thread worker of plugin threads died: ValueError: of a thread (plugin.py:")
    assert "\n  Traceback" in message
    assert "threading.py" not in message, "the traceback omits the frames that call the thread's function"
    assert ran.status == 0


def test_abandoned_thread_does_not_log_after_destroy(build: Build) -> None:
    body = """
        def init(self):
            import threading, time
            has_logged = threading.Event()

            def chat():
                while True:
                    self.log.info("still here")
                    print("printed")
                    has_logged.set()
                    time.sleep(0.005)

            threading.Thread(target=chat, daemon=True).start()
            has_logged.wait(10)
    """
    # The C host waits after destroy and counts the calls of its log function.
    ran = run_cycle(build(simple_plugin("late", body)), env=environment(HOST_LATE_MS="300"))
    assert ran.status == 0, ran.stderr
    assert ran.values("late_logs") == [0]
    assert "still here" in log_messages(ran)
    assert "still here" in ran.stderr, "later log lines go to stderr"


def test_plugins_log_separately(load) -> None:
    body = "def init(self):\n    self.log.info('of {0}')\n\ndef destroy(self):\n    self.log.info('end of {0}')\n"
    first, second = (load(simple_plugin(name, body.format(name))) for name in ("firstone", "secondone"))
    first.destroy()
    second.destroy()
    assert [text for _, text in first.logs if "of " in text] == ["of firstone", "end of firstone"]
    assert [text for _, text in second.logs if "of " in text] == ["of secondone", "end of secondone"]


@pytest.mark.linked("the test replaces loggers of the interpreter")
def test_loggers_are_removed_safely(load, monkeypatch: pytest.MonkeyPatch) -> None:
    # Another init walks through all loggers to set levels. A walk that fails leaves the lock of logging locked.
    class RecordingDict(dict):
        def pop(self, *arguments):
            locked.append(logging._lock._is_owned())
            return super().pop(*arguments)

    locked: list[bool] = []
    monkeypatch.setattr(logging.Logger.manager, "loggerDict", RecordingDict(logging.Logger.manager.loggerDict))
    load(simple_plugin("loggers")).destroy()
    assert locked
    assert all(locked)


def test_destroyed_plugin_is_freed(build: Build) -> None:
    library = build(
        simple_plugin(
            "forgotten",
            """
        def destroy(self):
            import gc, sys
            from falco_plugin._runtime import attached
            gc.collect()
            kept = [type(o) for o in gc.get_objects() if type(o).__name__ == "Simple"]
            names = [name for name in sys.modules if name.startswith("falco_plugin_modules_")]
            print("KEPT", len(kept), len(names), len(attached.plugins()), file=sys.stderr, flush=True)
    """,
        )
    )
    ran = run_c_host("cycle", library, 10, "")
    assert ran.status == 0, ran.stderr
    counts = [line for line in ran.stderr.splitlines() if line.startswith("KEPT")]
    assert len(counts) == 10
    assert set(counts[1:]) == {counts[0]}, "cycles leave no objects, modules or plugins behind"


@pytest.mark.linked("the test reads loggers of the interpreter")
def test_logger_of_failed_init_is_freed(build: Build) -> None:
    def list_loggers() -> set[str]:
        return {name for name in logging.Logger.manager.loggerDict if name.startswith("falco_plugin_modules_")}

    library = build(simple_plugin("refused", "def init(self):\n    raise ValueError('no')\n"))
    before = list_loggers()
    loaded = Library(library)
    assert "ValueError: no" in loaded.last_error()
    loaded.destroy()
    assert list_loggers() == before
