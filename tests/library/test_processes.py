"""Several plugins, states, instances and threads in one process, as in Falco."""

from __future__ import annotations

import base64
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.embedded import Library
from support.events import EOF, SUCCESS, payloads_of
from support.hosts import c_host_lines, cycle_payloads, environment, log_messages, run_c_host, run_cycle
from support.libraries import ARE_SELF_CONTAINED, KIND, build_plugin, simple_plugin, write_sources

from falco_plugin.cli.main import main

# Several plugins have a module of this name. Each plugin must import its own.
HELPER = """
    import itertools

    OWNER = "{owner}"
    counter = itertools.count()

    def describe(number):
        return f"{{OWNER}} {{number}} {{next(counter)}}".encode()
"""
PLUGIN = """
    import threading

    import helper
    from falco_plugin import EOF, Plugin, source


    class Numbers(Plugin):
        name = "{owner}"

        def open(self, params):
            numbers = iter(range(300))

            def pull(context, writer):
                # A late import must find the module of this plugin too.
                import helper as again

                assert again is helper
                for number in numbers:
                    writer.write(helper.describe(number))
                    return
                raise EOF

            return source.PullInstance(pull, batch_size=7)
"""


def build_numbers(folder: Path, owner: str) -> Path:
    """Builds a folder target whose helper module has the same name in each plugin."""
    return build_plugin(
        folder, {"plugin.py": PLUGIN.format(owner=owner), "helper.py": HELPER.format(owner=owner)}, f"lib{owner}"
    )


def expected_payloads(owner: str) -> list[bytes]:
    return [f"{owner} {number} {number}".encode() for number in range(300)]


def decode_payloads(line: dict) -> list[bytes]:
    return [base64.b64decode(payload) for payload in line["payloads"]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return build_numbers(folder, "alpha"), build_numbers(folder, "beta")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_plugin(tmp_path_factory.mktemp("alone"), simple_plugin("alone"))


def test_libraries_with_equal_module_names_run_interleaved(pair: tuple[Path, Path]) -> None:
    lines = c_host_lines("interleave", *pair, "")
    assert [decode_payloads(line) for line in lines] == [expected_payloads("alpha"), expected_payloads("beta")]
    assert [line["end"] for line in lines] == ["eof", "eof"]


def test_libraries_initialize_concurrently_100_times(pair: tuple[Path, Path]) -> None:
    # Each run needs a new process, because the interpreter starts only once per process.
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: run_c_host("race", *pair, ""), range(100)))
    assert [ran.status for ran in runs] == [0] * 100, [ran.stderr for ran in runs if ran.status][:3]
    for ran in runs:
        (line,) = ran.lines
        assert line["ok"]
        assert [decode_payloads(run) for run in line["race"]] == [expected_payloads("alpha"), expected_payloads("beta")]


def test_library_initializes_three_times_concurrently(pair: tuple[Path, Path]) -> None:
    for _ in range(5):
        (line,) = c_host_lines("triple", pair[0], "")
        assert (line["ok"], line["distinct_states"]) == (True, True)
        # Each state has separate modules, so the counters are separate.
        assert [decode_payloads(run) for run in line["triple"]] == [expected_payloads("alpha")] * 3


def test_host_thread_may_end_before_close(pair: tuple[Path, Path]) -> None:
    lines = c_host_lines("threadend", pair[0], "")
    assert [line["round"] for line in lines] == [1, 2, 3, 4]
    assert [(line["events"], line["end"]) for line in lines] == [(300, "eof")] * 4
    assert lines[3]["threads"] == 2
    assert 0 < lines[3]["first_events"] < 300


def test_thread_local_ends_with_host_thread(tmp_path: Path) -> None:
    # The Python thread state of a host thread is kept between calls and cleared when the thread ends.
    body = """
        local = __import__("threading").local()

        class Mark:
            def __init__(self, log):
                self.log = log

            def __del__(self):
                import sys
                print("CLEARED", file=sys.stderr, flush=True)

        def event_to_string(self, event):
            return event.text
    """
    source = simple_plugin("locals", body).replace(
        "            for item in items:\n",
        "            if not hasattr(self.local, 'mark'):\n"
        "                self.local.mark = self.Mark(self.log)\n"
        "            for item in items:\n",
    )
    ran = run_c_host("threadend", build_plugin(tmp_path, source), "")
    assert ran.status == 0, ran.stderr
    # In each of the four rounds one thread calls the pull function. In the last round a second thread finds EOF.
    assert ran.stderr.count("CLEARED") == 4


def test_ended_host_thread_is_forgotten(tmp_path: Path) -> None:
    source = simple_plugin(
        "threads",
        """
        def destroy(self):
            import sys, threading
            left = [thread.name for thread in threading.enumerate() if thread.name.startswith("Dummy")]
            own = threading.current_thread().name
            print("LEFT", [name for name in left if name != own], file=sys.stderr, flush=True)
    """,
    ).replace(
        "            for item in items:\n",
        "            self.log.info('a log record reads the current thread')\n            for item in items:\n",
    )
    ran = run_c_host("threadend", build_plugin(tmp_path, source), "")
    assert ran.status == 0, ran.stderr
    assert [line for line in ran.stderr.splitlines() if line.startswith("LEFT")] == ["LEFT []"] * 4


def test_replaced_library_runs_new_code(tmp_path: Path) -> None:
    for name in ("old", "new"):
        sources = {"plugin.py": PLUGIN.format(owner="same"), "helper.py": HELPER.format(owner=name)}
        build_plugin(tmp_path, sources, name)
    old, new = c_host_lines("replace", tmp_path / "old.so", tmp_path / "new.so", "")
    assert (decode_payloads(old), decode_payloads(new)) == (expected_payloads("old"), expected_payloads("new"))
    assert not old["still_mapped"], "the linker does not read a library again while it is mapped"
    assert not new["still_mapped"]


def test_replaced_library_shows_new_traceback_lines(tmp_path: Path) -> None:
    body = """
        def init(self):
            try:
                raise ValueError  # of {name}
            except ValueError:
                self.log.exception("caught")
    """
    old, new = (
        build_plugin(tmp_path, {"plugin.py": simple_plugin("same", body.format(name=name))}, name)
        for name in ("old", "new")
    )
    ran = run_c_host("replace", old, new, "", env=environment(HOST_LOG="1"))
    assert ran.status == 0, ran.stderr
    assert [line.partition("# of ")[2] for line in ran.stderr.splitlines() if "# of " in line] == ["old", "new"]


def test_library_replaced_with_live_threads_runs_new_code(tmp_path: Path) -> None:
    # An abandoned producer thread must not keep the library mapped.
    source = """
        import threading, time

        from falco_plugin import Plugin, source

        class Pushes(Plugin):
            name = "pushes"

            def open(self, params):
                sender, receiver = source.channel()

                def produce():
                    sender.send(b"{version}")
                    sender.close()
                    time.sleep(60)

                threading.Thread(target=produce, daemon=True).start()
                return source.PushInstance(receiver)
    """
    for version in ("old", "new"):
        build_plugin(tmp_path, source.format(version=version), version)
    old, new = c_host_lines("replace", tmp_path / "old.so", tmp_path / "new.so", "")
    assert (decode_payloads(old), decode_payloads(new)) == ([b"old"], [b"new"])
    assert not old["still_mapped"]


def test_instances_of_state_run_in_parallel(pair: tuple[Path, Path], tmp_path: Path) -> None:
    source = """
        import threading

        from falco_plugin import Plugin, source

        class Many(Plugin):
            name = "many"
            opened = 0

            def open(self, params):
                self.opened += 1
                sender, receiver = source.channel(capacity=10)
                instance_number = self.opened

                def produce():
                    with sender:
                        for number in range(500):
                            sender.send(b"%d:%d" % (instance_number, number))

                threading.Thread(target=produce).start()
                return source.PushInstance(receiver)
    """
    for lines in (
        c_host_lines("parallel", build_plugin(tmp_path, source), "", 6),
        c_host_lines("parallel", pair[0], "", 6),
    ):
        assert [line["instance"] for line in lines] == [1, 2, 3, 4, 5, 6]
        assert {line["end"] for line in lines} == {"eof"}
        assert {line["events"] for line in lines} in ({500}, {300})


def test_instance_may_end_while_other_continues(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("both"))
    with Library(library) as state, state.opened() as one, state.opened() as other:
        assert payloads_of(one.drain()[1]) == [b"one", b"two"]
        one.close()
        code, events = other.drain()
    assert (code, payloads_of(events)) == (EOF, [b"one", b"two"])


def test_states_are_recreated_while_other_captures(alone: Path, pair: tuple[Path, Path]) -> None:
    # On a reload, a dry run initialises and destroys the library while the first state captures.
    with Library(pair[0]) as first, first.opened() as instance:
        code, events = instance.next_batch()
        assert code == SUCCESS
        for _ in range(3):
            with Library(pair[0]) as dry_run:
                assert dry_run.state != first.state
            with Library(alone) as other, other.opened() as theirs:
                assert payloads_of(theirs.drain()[1]) == [b"one", b"two"]
        code, more = instance.drain()
    assert (code, payloads_of(events + more)) == (EOF, expected_payloads("alpha"))


def test_failed_dry_run_keeps_running_plugin(tmp_path: Path) -> None:
    body = "def init(self):\n    if self.config == 'bad':\n        raise ValueError('a bad config')\n"
    library = build_plugin(tmp_path, simple_plugin("reload", body))
    with Library(library, "good") as first, first.opened() as instance:
        dry_run = Library(library, "bad")
        assert dry_run.init_code == 1
        assert dry_run.last_error().startswith("ValueError: a bad config")
        dry_run.destroy()
        assert payloads_of(instance.drain()[1]) == [b"one", b"two"]


# Targets that are folders


def test_folder_is_package_with_relative_imports_and_data(tmp_path: Path) -> None:
    sources = {
        "__init__.py": """
            import pkgutil
            from importlib import resources

            from falco_plugin import EOF, Plugin, source

            from . import parts
            from .parts.deep import VALUE
            from .parts import deep as renamed
            import package.parts.deep as absolute


            class Packaged(Plugin):
                name = "packaged"

                def open(self, params):
                    from .parts import late
                    found = [
                        VALUE,
                        renamed.VALUE,
                        absolute.VALUE,
                        parts.NAME,
                        late.UP,
                        pkgutil.get_data(__name__, "data/rows.csv"),
                        pkgutil.get_data(parts.__name__, "more.json"),
                    ]
                    assert renamed is absolute
                    items = iter(found)

                    def pull(context, writer):
                        for item in items:
                            writer.write(item)
                            return
                        raise EOF

                    return source.PullInstance(pull)
        """,
        "parts/__init__.py": "NAME = b'parts'\n",
        "parts/deep.py": "from .. import parts\nVALUE = b'deep'\n",
        "parts/late.py": "from ..parts.deep import VALUE\nUP = b'up ' + VALUE\n",
        "parts/more.json": b"{}",
        "data/rows.csv": "a,b\nü,1\n".encode(),
    }
    library = build_plugin(tmp_path, sources, "package")
    # The library must not read files of the folder that it was built from.
    shutil.rmtree(tmp_path / "package")
    ran = run_cycle(library)
    assert ran.status == 0, ran.stderr
    expected = [b"deep", b"deep", b"deep", b"parts", b"up deep", "a,b\nü,1\n".encode(), b"{}"]
    assert cycle_payloads(ran) == expected


def test_library_contains_standard_zip_archive(tmp_path: Path) -> None:
    plain = {
        "empty.csv": b"",
        "größe.txt": "ñ\n".encode(),
        "sub/archive.pem": b"PK\x03\x04" * 20 + b"PK\x05\x06\0",
        "sub/large.txt": bytes(range(256)) * 300,
    }
    body = f"""
        def init(self):
            import pkgutil
            for name in {list(plain)}:
                self.log.info("%s %s", name, pkgutil.get_data(__name__, name).hex())
    """
    library = build_plugin(tmp_path, {"plugin.py": simple_plugin("carries", body), **plain})
    if not ARE_SELF_CONTAINED:  # in which a bundle follows the archive
        with zipfile.ZipFile(library) as archive:
            assert {name: archive.read(name) for name in archive.namelist() if name != "plugin.py"} == plain
    messages = [log["text"] for log in run_cycle(library).values("log")]
    assert [text for text in messages if " " in text and text.split()[0] in plain] == [
        f"{name} {data.hex()}" for name, data in plain.items()
    ]


def test_plugin_modules_shadow_environment_only_for_plugin(tmp_path: Path) -> None:
    sources = {
        "plugin.py": simple_plugin("shadows", events="[colorsys.OWNER, json.dumps(1).encode()]").replace(
            "from falco_plugin", "import colorsys\nimport json\n\nfrom falco_plugin", 1
        ),
        # The standard library has a module of this name. Its other modules must not import the plugin's module.
        "colorsys.py": "OWNER = b'ours'\n",
    }
    assert cycle_payloads(run_cycle(build_plugin(tmp_path, sources))) == [b"ours", b"1"]


def test_data_files_are_found_by_importlib_resources(tmp_path: Path) -> None:
    sources = {
        "plugin.py": simple_plugin(
            "resources",
            """
            def init(self):
                import importlib.resources
                import parts
                files = importlib.resources.files(parts)
                self.log.info("%s", sorted(file.name for file in files.iterdir()))
                self.log.info("%s", files.joinpath("more", "rows.csv").read_text(encoding="utf-8").strip())
                own = importlib.resources.files(__package__)
                self.log.info("%s", sorted(file.name for file in own.iterdir()))
                with importlib.resources.as_file(own / "parts" / "more" / "rows.csv") as path:
                    self.log.info("%s", path.read_text(encoding="utf-8").strip())
                with importlib.resources.as_file(own / "parts") as path:
                    self.log.info("%s", sorted(file.name for file in path.rglob("*.*")))
            """,
        ),
        "parts/__init__.py": "",
        "parts/more/rows.csv": "ü,1\n",
        "top.json": "{}",
    }
    messages = log_messages(run_cycle(build_plugin(tmp_path, sources)))
    assert messages[:5] == [
        "['__init__.py', 'more']",
        "ü,1",
        "['parts', 'plugin.py', 'top.json']",
        "ü,1",
        "['__init__.py', 'rows.csv']",
    ]


def test_missing_data_file_is_clear_error(tmp_path: Path) -> None:
    body = "def init(self):\n    import pkgutil\n    pkgutil.get_data(__name__, 'missing.csv')\n"
    ran = run_cycle(build_plugin(tmp_path, {"plugin.py": simple_plugin("nodata", body)}))
    error = next(line for line in ran.lines if "cycle" in line)["error"]
    assert error.startswith("FileNotFoundError: ")
    assert "missing.csv: not packed into the plugin library" in error


def test_plugin_classes_can_be_pickled_and_inspected(tmp_path: Path) -> None:
    # dataclasses, typing and inspect look up the module of a class in sys.modules.
    sources = {
        "plugin.py": """
            from __future__ import annotations

            import inspect
            import pickle
            import typing
            from dataclasses import dataclass

            import shapes
            from falco_plugin import EOF, Plugin, source


            @dataclass
            class Row:
                shape: shapes.Shape | None = None


            class Picky(Plugin):
                name = "picky"

                def open(self, params):
                    copy = pickle.loads(pickle.dumps(Row(shapes.Shape(3))))
                    assert copy == Row(shapes.Shape(3))
                    assert typing.get_type_hints(Row)["shape"] == shapes.Shape | None
                    assert "class Row" in inspect.getsource(Row)

                    def pull(context, writer):
                        raise EOF

                    return source.PullInstance(pull)
        """,
        "shapes.py": "from dataclasses import dataclass\n\n\n@dataclass\nclass Shape:\n    sides: int\n",
    }
    ran = run_cycle(build_plugin(tmp_path, sources))
    assert ran.status == 0, ran.stderr


def test_factory_function_is_entry_point(tmp_path: Path) -> None:
    source = """
        from falco_plugin import EOF, source


        class NoSubclass:
            name, version, id, event_source, description, contact = "factory", "1.0.0", 999, "test", "Made", ""

            def open(self, params):
                def pull(context, writer):
                    raise EOF

                return source.PullInstance(pull)


        def make():
            plugin = NoSubclass()
            source.register(plugin)
            source.register(plugin)
            return plugin
    """
    write_sources(tmp_path, {"plugin.py": source})
    library = tmp_path / "lib.so"
    result = CliRunner().invoke(main, ["build", *KIND, f"{tmp_path / 'plugin.py'}:make", "-o", str(library)])
    assert result.exit_code == 0, result.output
    (line,) = c_host_lines("cycle", library, 1, "")
    assert (line["name"], line["end"]) == ("factory", "eof")
