"""Plugin libraries built for a test, and the hosts that load them: see hosts/README.md."""

from __future__ import annotations

import atexit
import base64
import ctypes
import fcntl
import functools
import ipaddress
import json
import os
import re
import shutil
import struct
import subprocess
import sysconfig
import tempfile
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from falco_plugin import _core
from falco_plugin._build import library as _library
from falco_plugin._build import target as _target
from falco_plugin.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[2]
HOSTS = REPOSITORY / "tests" / "hosts"
BUILT = REPOSITORY / "target" / "hosts"
RUNNER_TARGET = REPOSITORY / "target" / "hosts-runner"

SUCCESS, FAILURE, TIMEOUT, EOF = 0, 1, -1, 2
NO_TIMESTAMP = 2**64 - 1
PLUGIN_EVENT = 322
PAYLOAD_AT = 38

MISSING = "/nonexistent/falco-plugin-tests"

# Where a test and a method of a plugin in the same interpreter wait for each other.
MEETING = threading.Barrier(2, timeout=60)

Sources = str | Mapping[str, str | bytes]


# Plugins


def write_sources(folder: Path, sources: Mapping[str, str | bytes]) -> Path:
    """Writes files below a folder; text is dedented."""
    for name, content in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
    return folder


def build_plugin(folder: Path, source: Sources, name: str = "plugin") -> Path:
    """Builds a file's text, or the files of a folder, into ``<name>.so`` in `folder` with the command."""
    library = folder / f"{name}.so"
    if isinstance(source, str):
        target = write_sources(folder, {f"{name}.py": source}) / f"{name}.py"
    else:
        target = write_sources(folder / name, source)
    result = CliRunner().invoke(main, ["build", str(target), "-o", str(library)])
    assert result.exit_code == 0, result.output
    return library


def build_changed(folder: Path, source: str, name: str = "changed", **manifest: str) -> Path:
    """A library whose manifest says something else here and there, as if the environment had changed since."""
    loaded = _target.load(str(write_sources(folder, {f"{name}.py": source}) / f"{name}.py"))
    library = folder / f"{name}.so"
    _library.write(library, {**loaded.manifest(), **manifest}, loaded.archive, hidden=loaded._hidden())
    return library


def simple(name: str, body: str = "", *, events: str = "[b'one', b'two']") -> str:
    """A plugin that delivers some payloads and ends; `body` is more of its class."""
    return (
        "from falco_plugin import EOF, Plugin, source\n\n\n"
        f"class Simple(Plugin):\n"
        f'    """Simple"""\n\n'
        f'    name = "{name}"\n\n'
        "    def open(self, params):\n"
        f"        items = iter({events})\n\n"
        "        def pull(context, writer):\n"
        "            for item in items:\n"
        "                writer.write(item)\n"
        "                return\n"
        "            raise EOF\n\n"
        "        return source.PullInstance(pull)\n\n" + textwrap.indent(textwrap.dedent(body), "    ")
    )


# Hosts


@dataclass(frozen=True)
class Ran:
    """What a host said."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    def values(self, key: str) -> list[Any]:
        """The values of one key of all lines that have it."""
        return [line[key] for line in self.lines if key in line]


def environment(**changes: str | None) -> dict[str, str]:
    """This process's environment without what steers hosts and plugin libraries; ``None`` takes a variable away.

    A checkout need not belong to root, so as a rule the check of who can write is off.
    """
    names = {name: value for name, value in os.environ.items() if not name.startswith(("HOST_", "FALCO_PLUGIN_"))}
    names["FALCO_PLUGIN_ALLOW_WRITABLE"] = "1"
    for name, value in changes.items():
        if value is None:
            names.pop(name, None)
        else:
            names[name] = value
    return names


def run(
    *command: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None, timeout: float = 240
) -> Ran:
    """Runs a program with an environment of its own."""
    done = subprocess.run(
        [str(part) for part in command],
        env=environment() if env is None else env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=timeout,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def _checked(ran: Ran) -> Ran:
    assert ran.status == 0, f"exit status {ran.status}\n{ran.stdout}\n{ran.stderr}"
    return ran


@contextmanager
def _building() -> Iterator[None]:
    """One test process builds at a time."""
    BUILT.mkdir(parents=True, exist_ok=True)
    with (BUILT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _skip_in_special_build() -> None:
    """Libraries of a special build ask their host for what only a host of that build has."""
    if "C_HOST" in os.environ:
        pytest.skip("a host that is not of this special build")


@functools.cache
def c_host_path() -> Path:
    """The host in C: one of a special build where ``C_HOST`` names it, otherwise built here."""
    if special := os.environ.get("C_HOST"):
        return Path(special)
    sources = [HOSTS / "c" / "host.c", HOSTS / "c" / "plugin.h"]
    path = BUILT / "host"
    with _building():
        if not path.exists() or path.stat().st_mtime < max(source.stat().st_mtime for source in sources):
            flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1"]
            built = run("cc", *flags, sources[0], "-o", path, "-ldl", "-lpthread", env=os.environ)
            assert built.status == 0, built.stderr
    return path


@functools.cache
def runner_path() -> Path:
    """The host around the crate ``falco_plugin_runner``."""
    _skip_in_special_build()
    manifest = HOSTS / "runner" / "Cargo.toml"
    with _building():
        env = {**os.environ, "CARGO_TARGET_DIR": str(RUNNER_TARGET)}
        built = run("cargo", "build", "--quiet", "--locked", "--manifest-path", manifest, env=env, timeout=280)
        assert built.status == 0, built.stderr
    return RUNNER_TARGET / "debug" / "runner"


@functools.cache
def go_program(name: str) -> Path:
    """Builds a program in Go from its folder in `HOSTS`. Skips the test if Go is missing, but not in CI."""
    if shutil.which("go") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs Go for {name}")
        pytest.skip(f"{name} needs Go, which is not installed")
    path = BUILT / name
    with _building():
        built = run("go", "build", "-o", path, ".", env=os.environ, cwd=HOSTS / name, timeout=280)
        assert built.status == 0, built.stderr
    return path


def golang_path() -> Path:
    """The host around the loader of the Go SDK."""
    _skip_in_special_build()
    return go_program("golang")


@functools.cache
def native_path() -> Path:
    """The native host of the package, as a file of its own that needs no Python."""
    folder = tempfile.mkdtemp(prefix="falco-plugin-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder, "falco-plugin-host")
    path.write_bytes(_core.host())
    path.chmod(0o700)
    return path


def run_c_host(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None) -> Ran:
    """The host in C, whatever comes of it."""
    return run(c_host_path(), *arguments, env=env, cwd=cwd)


def c_host(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None) -> list[dict]:
    """What the host in C says; it has to succeed."""
    return _checked(run_c_host(*arguments, env=env, cwd=cwd)).lines


def logged(library: Path, config: str = "", params: str = "", env: Mapping[str, str] | None = None) -> Ran:
    """One cycle in the host in C with all its events and log lines, whatever comes of it."""
    return run_c_host("log", library, config, params, env=env)


def data_of(ran: Ran) -> list[bytes]:
    """The payloads of the events of a cycle of `logged`."""
    return [base64.b64decode(event["base64"]) for event in ran.values("event")]


def failed_init(library: Path, config: str = "", env: Mapping[str, str] | None = None) -> str:
    """The text of an init that has to fail, heard as the real host hears it."""
    (line,) = c_host("initfail", library, config, env=env)
    assert not line["state_is_null"], "without a state the host cannot ask for the message"
    return line["error"]


# Fields

FIELD_TYPES = {"uint64": 8, "string": 9, "reltime": 20, "abstime": 21, "bool": 25, "ipaddr": 40, "ipnet": 41}
NO_INDEX = 2**64 - 1


def described(library: Path) -> dict[str, Any]:
    """What a library says before it is initialised; the JSON texts are read."""
    (line,) = c_host("static", library)
    for name in ("fields", "extract_event_sources"):
        line[name] = None if line[name] is None else json.loads(line[name])
    return line


@dataclass(frozen=True)
class Asked:
    """A field and its argument, in the form in which a host asks for it."""

    name: str
    id: int
    type: int
    is_list: bool
    present: bool = False
    index: int = NO_INDEX
    key: str | None = None

    def __str__(self) -> str:
        line = f"{self.id} {self.type} {self.is_list:d} {self.present:d} {self.index} {self.name}"
        return line if self.key is None else f"{line} {self.key}"


def asked(fields: Sequence[Mapping[str, Any]], text: str) -> Asked:
    """What a host makes of ``name`` or ``name[argument]``: where a field takes index and key, a number is both, and any
    other argument the key."""
    name, bracket, rest = text.partition("[")
    place, field = next((place, field) for place, field in enumerate(fields) if field["name"] == name)
    argument = rest[:-1]
    takes = field.get("arg", {})
    is_number = re.fullmatch("0|[1-9][0-9]*", argument) and int(argument) < 2**64
    return Asked(
        name,
        place,
        FIELD_TYPES[field["type"]],
        field.get("isList", False),
        bool(bracket),
        int(argument) if takes.get("isIndex") and is_number else NO_INDEX,
        argument if takes.get("isKey") and bracket else None,
    )


@dataclass(frozen=True)
class Extracted:
    """What a field gave. Times are nanoseconds, addresses text."""

    values: list[Any] | None
    """None where it is absent."""
    places: list[tuple[int, int]] | None = None
    """Start and length of each value, counted in the event; None where the plugin told none."""
    code: int = SUCCESS
    error: str | None = None


def _extracted(field: Mapping[str, Any], call: Mapping[str, Any]) -> Extracted:
    told = field["starts"] is not None and field["lengths"] is not None
    places = list(zip(field["starts"], field["lengths"], strict=True)) if told else None
    return Extracted(field["values"], places, call["rc"], call["error"])


def by_calls(line: Mapping[str, Any]) -> list[Extracted]:
    """The fields of an event that were asked one by one."""
    return [_extracted(*call["fields"], call) for call in line["calls"]]


def asked_lines(library: Path, fields: Sequence[str]) -> str:
    """Fields as the host in C takes them."""
    known = described(library)["fields"]
    return "\n".join(str(asked(known, field)) for field in fields)


def joined(payloads: Sequence[bytes]) -> str:
    """Payloads as the host in C takes them."""
    return ",".join(payload.hex() for payload in payloads)


def replay(
    library: Path, fields: Sequence[str], payloads: Sequence[bytes], config: str = ""
) -> list[dict[str, Extracted]]:
    """The fields of each event in the host in C, which opens no source and asks for one field a call."""
    lines = c_host("replay", library, config, asked_lines(library, fields), joined(payloads))
    return [dict(zip(fields, by_calls(line), strict=True)) for line in lines if "event" in line]


def together(
    library: Path, fields: Sequence[str], payloads: Sequence[bytes], config: str = ""
) -> list[dict[str, Extracted]]:
    """As `replay`, but with all fields in one call."""
    lines = c_host("together", library, config, asked_lines(library, fields), joined(payloads))
    return [
        dict(zip(fields, [_extracted(field, line) for field in line["fields"]], strict=True))
        for line in lines
        if "event" in line
    ]


def runner(*arguments: object, env: Mapping[str, str] | None = None) -> list[dict]:
    """What the runner says; it has to succeed."""
    return _checked(run(runner_path(), *arguments, env=env)).lines


def golang(*arguments: object, env: Mapping[str, str] | None = None) -> list[dict]:
    """What the loader of the Go SDK says; it has to succeed."""
    return _checked(run(golang_path(), *arguments, env=env)).lines


def command(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path | str | None = None) -> Ran:
    """``falco-plugin`` in a process of its own, whatever comes of it."""
    return run(Path(sysconfig.get_path("scripts"), "falco-plugin"), *arguments, env=env, cwd=cwd)


def native(*arguments: object, env: Mapping[str, str] | None = None) -> list[dict]:
    """What ``falco-plugin run --json`` says; it has to succeed."""
    return _checked(command("run", "--json", *arguments, env=env)).lines


# The C plugin API in this process


class _InitInput(ctypes.Structure):
    _fields_ = [
        ("config", ctypes.c_char_p),
        ("owner", ctypes.c_void_p),
        ("get_owner_last_error", ctypes.c_void_p),
        ("tables", ctypes.c_void_p),
        ("log", ctypes.c_void_p),
    ]


_LogFunction = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int)


class _EventInput(ctypes.Structure):
    _fields_ = [("event", ctypes.c_void_p), ("number", ctypes.c_uint64), ("source", ctypes.c_char_p)]


class _ByteBuffer(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint32), ("start", ctypes.c_void_p)]


class _Field(ctypes.Structure):
    _fields_ = [
        ("values", ctypes.c_void_p),
        ("count", ctypes.c_uint64),
        ("id", ctypes.c_uint32),
        ("name", ctypes.c_char_p),
        ("key", ctypes.c_char_p),
        ("index", ctypes.c_uint64),
        ("present", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("is_list", ctypes.c_uint32),
    ]


class _Places(ctypes.Structure):
    _fields_ = [("starts", ctypes.c_void_p), ("lengths", ctypes.c_void_p)]


class _ExtractInput(ctypes.Structure):
    _fields_ = [
        ("owner", ctypes.c_void_p),
        ("get_owner_last_error", ctypes.c_void_p),
        ("count", ctypes.c_uint32),
        ("fields", ctypes.c_void_p),
        ("table_reader", ctypes.c_void_p * 4),
        ("table_reader_ext", ctypes.c_void_p),
        ("places", ctypes.c_void_p),
    ]


_VALUES: dict[int, Any] = {
    8: ctypes.c_uint64,
    9: ctypes.c_char_p,
    20: ctypes.c_uint64,
    21: ctypes.c_uint64,
    25: ctypes.c_uint32,
    40: _ByteBuffer,
    41: _ByteBuffer,
}


@dataclass(frozen=True)
class Answer:
    """What `Library.ask` got: memory of the plugin's, which is read only by `read`."""

    code: int
    error: str
    field: _Field
    places: _Places

    def read(self) -> Extracted:
        """The values, as they stand in the plugin's memory now."""
        if self.code != SUCCESS:
            return Extracted(None, None, self.code, self.error)
        count = self.field.count
        if count == 0:
            return Extracted(None)
        values = [self._value(value) for value in (_VALUES[self.field.type] * count).from_address(self.field.values)]
        if not self.places.starts:
            return Extracted(values)
        array = ctypes.c_uint32 * count
        starts, lengths = (array.from_address(place) for place in (self.places.starts, self.places.lengths))
        return Extracted(values, list(zip(starts, lengths, strict=True)))

    def _value(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, _ByteBuffer):
            return str(ipaddress.ip_address(ctypes.string_at(value.start, value.length)))
        return bool(value) if self.field.type == FIELD_TYPES["bool"] else value


def held(event: bytes) -> ctypes.Array[ctypes.c_char]:
    """An event in memory that stays where it is, and can be written over."""
    return ctypes.create_string_buffer(event, len(event))


class Library:
    """A plugin library driven through ctypes: the interpreter is then this process's own.

    CDLL lets go of the GIL during a call, as a host of its own has none.
    """

    def __init__(self, path: Path, config: str = "") -> None:
        self.api = ctypes.CDLL(str(path), mode=os.RTLD_NOW | os.RTLD_LOCAL)
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        types = {
            "init": (pointer, [pointer, pointer]),
            "destroy": (None, [pointer]),
            "get_last_error": (text, [pointer]),
            "open": (pointer, [pointer, text, pointer]),
            "close": (None, [pointer, pointer]),
            "next_batch": (ctypes.c_int, [pointer, pointer, pointer, pointer]),
            "get_progress": (text, [pointer, pointer, pointer]),
            "list_open_params": (text, [pointer, pointer]),
            "event_to_string": (text, [pointer, pointer]),
            "get_fields": (text, []),
            "extract_fields": (ctypes.c_int, [pointer, pointer, pointer]),
        }
        for name, (result, arguments) in types.items():
            function = getattr(self.api, f"plugin_{name}", None)
            if function is not None:
                function.restype, function.argtypes = result, arguments
        self.logs: list[tuple[int, str]] = []
        self._log = _LogFunction(lambda _owner, _component, text, severity: self.logs.append((severity, text.decode())))
        given = _InitInput(config=config.encode(), log=ctypes.cast(self._log, pointer))
        code = ctypes.c_int(0x5A5A)
        self.state = self.api.plugin_init(ctypes.byref(given), ctypes.byref(code))
        self.init_code = code.value

    def __enter__(self) -> Library:
        assert self.init_code == SUCCESS, self.last_error()
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    def destroy(self) -> None:
        """Destroys the state; the library stays mapped."""
        if self.state:
            self.api.plugin_destroy(self.state)
        self.state = None

    def last_error(self) -> str:
        """What get_last_error says."""
        return self.api.plugin_get_last_error(self.state).decode()

    def list_open_params(self) -> tuple[int, Any]:
        """Result code, and the suggestions or None."""
        code = ctypes.c_int(0x5A5A)
        text = self.api.plugin_list_open_params(self.state, ctypes.byref(code))
        return code.value, None if text is None else json.loads(text.decode())

    def ask(
        self,
        event: bytes | ctypes.Array[ctypes.c_char] | int | None,
        field: str | Asked,
        number: int = 1,
        source: str = "test",
    ) -> Answer:
        """Extracts ``name`` or ``name[argument]`` from an event, or one at an address. The values are not read yet."""
        return self.ask_together(event, [field], number, source)[0]

    def ask_together(
        self,
        event: bytes | ctypes.Array[ctypes.c_char] | int | None,
        fields: Sequence[str | Asked],
        number: int = 1,
        source: str = "test",
    ) -> list[Answer]:
        """What `ask` does, for several fields in one call."""
        memory = held(event) if isinstance(event, bytes) else event
        address = ctypes.addressof(memory) if isinstance(memory, ctypes.Array) else memory
        given = _EventInput(address, number, source.encode())
        asking = (_Field * len(fields))(*map(self._field, fields))
        places = _Places()
        request = _ExtractInput(count=len(asking), fields=ctypes.addressof(asking), places=ctypes.addressof(places))
        code = self.api.plugin_extract_fields(self.state, ctypes.byref(given), ctypes.byref(request))
        error = "" if code == SUCCESS else self.last_error()
        return [Answer(code, error, field, places) for field in asking]

    def _field(self, field: str | Asked) -> _Field:
        if isinstance(field, str):
            field = asked(json.loads(self.api.plugin_get_fields()), field)
        return _Field(
            0xA5A5A5A5,
            0xA5A5A5A5A5A5A5A5,
            field.id,
            field.name.encode(),
            None if field.key is None else field.key.encode(),
            field.index,
            field.present,
            field.type,
            field.is_list,
        )

    def extract(
        self,
        event: bytes | ctypes.Array[ctypes.c_char] | int | None,
        field: str | Asked,
        number: int = 1,
        source: str = "test",
    ) -> Extracted:
        """What `ask` gets, read at once."""
        return self.ask(event, field, number, source).read()

    def event_to_string(
        self, event: bytes | ctypes.Array[ctypes.c_char], number: int = 1, source: str = "test"
    ) -> str | None:
        """The text of an event that the host holds."""
        memory = held(event) if isinstance(event, bytes) else event
        given = _EventInput(ctypes.addressof(memory), number, source.encode())
        text = self.api.plugin_event_to_string(self.state, ctypes.byref(given))
        return None if text is None else text.decode()

    @contextmanager
    def opened(self, params: str = "") -> Iterator[Instance]:
        """An open source."""
        code = ctypes.c_int(0x5A5A)
        handle = self.api.plugin_open(self.state, params.encode(), ctypes.byref(code))
        assert code.value == SUCCESS, self.last_error()
        instance = Instance(self, handle)
        try:
            yield instance
        finally:
            instance.close()


@dataclass
class Instance:
    """An open source of a `Library`."""

    library: Library
    handle: int | None

    def next_batch(self) -> tuple[int, list[bytes]]:
        """The result code, and the bytes of the events as the host sees them."""
        count, events = ctypes.c_uint32(0xA5A5A5A5), ctypes.c_void_p(0xA5A5)
        code = self.library.api.plugin_next_batch(
            self.library.state, self.handle, ctypes.byref(count), ctypes.byref(events)
        )
        found = []
        for place in (ctypes.c_void_p * count.value).from_address(events.value) if count.value else ():
            (length,) = struct.unpack("<I", ctypes.string_at(place + 16, 4))
            found.append(ctypes.string_at(place, length))
        return code, found

    def drain(self) -> tuple[int, list[bytes]]:
        """All events up to the first code that is neither success nor timeout."""
        events: list[bytes] = []
        code = SUCCESS
        while code in (SUCCESS, TIMEOUT):
            code, more = self.next_batch()
            events += more
        return code, events

    def overwrite(self) -> None:
        """Fills the memory of the next batch's events with what a host might leave there."""
        count, events = ctypes.c_uint32(), ctypes.c_void_p()
        api, state = self.library.api, self.library.state
        api.plugin_next_batch(state, self.handle, ctypes.byref(count), ctypes.byref(events))
        for place in (ctypes.c_void_p * count.value).from_address(events.value):
            (length,) = struct.unpack("<I", ctypes.string_at(place + 16, 4))
            ctypes.memset(place, 0xEE, length)

    def progress(self) -> tuple[int, str]:
        """Hundredths of a percent, and the text."""
        hundredths = ctypes.c_uint32(0xA5A5A5A5)
        text = self.library.api.plugin_get_progress(self.library.state, self.handle, ctypes.byref(hundredths))
        return hundredths.value, text.decode()

    def close(self) -> None:
        """Closes the source, once."""
        if self.handle:
            self.library.api.plugin_close(self.library.state, self.handle)
        self.handle = None


def payloads(events: list[bytes]) -> list[bytes]:
    """The payloads of whole events."""
    return [event[PAYLOAD_AT:] for event in events]


def encoded(payload: bytes, timestamp: int = NO_TIMESTAMP, plugin_id: int = 0) -> bytes:
    """An event as source-semantics has it, field by field."""
    whole = PAYLOAD_AT + len(payload)
    header = struct.pack("<QQIHI", timestamp, 2**64 - 1, whole, PLUGIN_EVENT, 2)
    return header + struct.pack("<III", 4, len(payload), plugin_id) + payload
